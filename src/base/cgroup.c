/* Control groups, versions 1 and 2 (Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/). A limit holds for a
 * group and all below it, so every level from the process's group up to the mount is asked. Inside a container the path
 * in /proc/self/cgroup may not exist under /sys/fs/cgroup; the walk upwards then finds the mount itself. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/machine.h"

enum { CGROUP_PATH = 4096 };

/* The first line of FOLDER/NAME without its line end. */
static bool cgroup_line(const char *folder, const char *name, char *line, int size)
{
    char path[2 * CGROUP_PATH];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    bool found = file && fgets(line, size, file);
    if (file)
        fclose(file);
    if (found)
        line[strcspn(line, "\n")] = '\0';
    return found;
}

/* The number after KEY and a space in FOLDER/NAME; 0 if there is none. */
static int64_t cgroup_statistic(const char *folder, const char *name, const char *key)
{
    char path[2 * CGROUP_PATH], line[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    int64_t value = 0;
    size_t length = strlen(key);
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, key, length) && line[length] == ' ')
            value = strtoll(line + length, NULL, 10);
    if (file)
        fclose(file);
    return value;
}

/* A limit of one group; negative: none. */
typedef double (*CgroupLimit)(const char *folder);

static double cpus_v2(const char *folder)
{
    char line[128];
    double quota, period;
    if (!cgroup_line(folder, "cpu.max", line, sizeof line) || sscanf(line, "%lf %lf", &quota, &period) != 2)
        return -1; /* "max 100000" */
    return quota > 0 && period > 0 ? quota / period : -1;
}

static double cpus_v1(const char *folder)
{
    char line[128];
    if (!cgroup_line(folder, "cpu.cfs_quota_us", line, sizeof line))
        return -1;
    double quota = strtod(line, NULL);
    if (!cgroup_line(folder, "cpu.cfs_period_us", line, sizeof line))
        return -1;
    double period = strtod(line, NULL);
    return quota > 0 && period > 0 ? quota / period : -1;
}

static double memory_left(const char *folder, const char *limit_name, const char *use_name, const char *cache_key)
{
    char line[128], *end;
    if (!cgroup_line(folder, limit_name, line, sizeof line))
        return -1;
    double limit = strtod(line, &end);
    if (end == line || limit >= 0x1p60) /* "max"; version 1 writes no limit as almost 2^63 */
        return -1;
    double use = cgroup_line(folder, use_name, line, sizeof line) ? strtod(line, NULL) : 0;
    double left = limit - use + (double)cgroup_statistic(folder, "memory.stat", cache_key);
    return left > 0 ? left : 0;
}

static double memory_v2(const char *folder)
{
    return memory_left(folder, "memory.max", "memory.current", "inactive_file");
}

static double memory_v1(const char *folder)
{
    return memory_left(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file");
}

static double limit_lower(double a, double b)
{
    return a < 0 ? b : b < 0 ? a : fmin(a, b);
}

/* The lowest limit from MOUNT/GROUP up to MOUNT. */
static double cgroup_walk(const char *mount, const char *group, CgroupLimit limit)
{
    char folder[CGROUP_PATH];
    int length = snprintf(folder, sizeof folder, "%s%s", mount, group);
    if (length < 0 || length >= CGROUP_PATH)
        return limit(mount);
    double lowest = -1;
    for (size_t root = strlen(mount);;) {
        lowest = limit_lower(lowest, limit(folder));
        char *slash = strrchr(folder + root, '/');
        if (!slash)
            return lowest;
        *slash = '\0';
    }
}

static bool has_controller(const char *controllers, const char *name)
{
    size_t length = strlen(name);
    for (const char *c = controllers; *c; c += *c == ',') {
        size_t span = strcspn(c, ",");
        if (span == length && !strncmp(c, name, length))
            return true;
        c += span;
    }
    return false;
}

/* Lines of /proc/self/cgroup are "ID:CONTROLLERS:PATH"; version 2 has ID 0 and no controllers. */
static double cgroup_lowest(const char *root, const char *controller, CgroupLimit v1, CgroupLimit v2)
{
    char path[CGROUP_PATH], mount[CGROUP_PATH], line[CGROUP_PATH];
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "r");
    double lowest = -1;
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *controllers++ = '\0';
        *group++ = '\0';
        if (!strcmp(line, "0") && !*controllers) {
            snprintf(mount, sizeof mount, "%s/sys/fs/cgroup", root);
            lowest = limit_lower(lowest, cgroup_walk(mount, group, v2));
        } else if (has_controller(controllers, controller)) {
            snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/%s", root, controller);
            lowest = limit_lower(lowest, cgroup_walk(mount, group, v1));
        }
    }
    if (file)
        fclose(file);
    return lowest;
}

double machine_cgroup_cpus(const char *root)
{
    return cgroup_lowest(root, "cpu", cpus_v1, cpus_v2);
}

int64_t machine_cgroup_memory(const char *root)
{
    return (int64_t)cgroup_lowest(root, "memory", memory_v1, memory_v2);
}
