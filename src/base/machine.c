#include "base/machine.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* CPUs of the affinity mask; 0 if the system does not tell. Masks grow until the kernel's fits. */
static int affinity_count(void)
{
    for (int limit = 1024; limit <= 1 << 20; limit *= 4) {
        cpu_set_t *set = CPU_ALLOC((size_t)limit);
        if (!set)
            return 0;
        size_t size = CPU_ALLOC_SIZE((size_t)limit);
        int count = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (count > 0)
            return count;
    }
    return 0;
}

int machine_threads(char *reason, size_t size)
{
    char text[96];
    int threads = affinity_count();
    if (threads < 1)
        threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (threads < 1)
        threads = 1;
    snprintf(text, sizeof text, "%d CPU%s in the affinity mask", threads, threads == 1 ? "" : "s");
    double quota = machine_cgroup_cpus("");
    if (quota >= 0 && ceil(quota) < threads) {
        threads = quota > 1 ? (int)ceil(quota) : 1;
        snprintf(text, sizeof text, "cgroup quota of %.3g CPU%s", quota, quota == 1 ? "" : "s");
    }
    if (reason)
        snprintf(reason, size, "%s", text);
    return threads;
}

/* A line "KEY:  123 kB" of a file in /proc, in bytes; -1 if there is none. */
static int64_t proc_kilobytes(const char *path, const char *key)
{
    FILE *file = fopen(path, "r");
    char line[256];
    int64_t value = -1;
    size_t length = strlen(key);
    while (file && value < 0 && fgets(line, sizeof line, file))
        if (!strncmp(line, key, length) && line[length] == ':')
            value = strtoll(line + length + 1, NULL, 10) * 1024;
    if (file)
        fclose(file);
    return value;
}

int64_t machine_memory(void)
{
    int64_t bytes = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    int64_t available = proc_kilobytes("/proc/meminfo", "MemAvailable");
    int64_t group = machine_cgroup_memory("");
    if (available >= 0 && available < bytes)
        bytes = available;
    if (group >= 0 && group < bytes)
        bytes = group;
    return bytes;
}

int64_t machine_peak_resident(void)
{
    struct rusage use;
    return getrusage(RUSAGE_SELF, &use) == 0 ? (int64_t)use.ru_maxrss * 1024 : 0;
}

int64_t machine_resident(void)
{
    long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file)
        return 0;
    if (fscanf(file, "%*s %lld", &pages) != 1)
        pages = 0;
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

double machine_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
