#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/machine.h"

static char root[64];

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/lmu-machine-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    return directory_remove(root) == LMU_OK ? 0 : -1;
}

/* Writes a line into ROOT/PATH, making its directories. */
static void lay(const char *path, const char *line)
{
    char *whole;
    assert_int_equal(path_join(root, path, &whole), LMU_OK);
    char *slash = strrchr(whole, '/');
    *slash = '\0';
    assert_int_equal(directory_make(whole), LMU_OK);
    *slash = '/';
    assert_int_equal(file_write(whole, line, strlen(line)), LMU_OK);
    free(whole);
}

static void test_no_groups(void **state)
{
    (void)state;
    assert_true(machine_cgroup_cpus(root) < 0);
    assert_true(machine_cgroup_memory(root) < 0);
    lay("proc/self/cgroup", "nonsense\n0::\n\n:::\n");
    assert_true(machine_cgroup_cpus(root) < 0);
}

static void test_version_2(void **state)
{
    (void)state;
    lay("proc/self/cgroup", "0::/user.slice/job\n");
    lay("sys/fs/cgroup/user.slice/job/cpu.max", "max 100000\n");
    lay("sys/fs/cgroup/user.slice/job/memory.max", "max\n");
    assert_true(machine_cgroup_cpus(root) < 0);
    assert_true(machine_cgroup_memory(root) < 0);
    /* A limit further up holds as well. */
    lay("sys/fs/cgroup/user.slice/cpu.max", "150000 100000\n");
    lay("sys/fs/cgroup/user.slice/memory.max", "1000000\n");
    lay("sys/fs/cgroup/user.slice/memory.current", "400000\n");
    lay("sys/fs/cgroup/user.slice/memory.stat", "anon 1\ninactive_file 100000\nfile 9\n");
    assert_true(machine_cgroup_cpus(root) == 1.5);
    assert_int_equal(machine_cgroup_memory(root), 700000);
    lay("sys/fs/cgroup/user.slice/job/cpu.max", "50000 100000\n");
    assert_true(machine_cgroup_cpus(root) == 0.5);
    lay("sys/fs/cgroup/user.slice/job/cpu.max", "garbage\n");
    assert_true(machine_cgroup_cpus(root) == 1.5);
    lay("sys/fs/cgroup/user.slice/memory.current", "2000000\n");
    assert_int_equal(machine_cgroup_memory(root), 0);
}

/* In a container the path is the host's, and only the mount itself is there. */
static void test_container(void **state)
{
    (void)state;
    lay("proc/self/cgroup", "0::/docker/0123456789\n");
    lay("sys/fs/cgroup/cpu.max", "200000 100000\n");
    assert_true(machine_cgroup_cpus(root) == 2);
}

static void test_version_1(void **state)
{
    (void)state;
    lay("proc/self/cgroup", "4:memory:/job\n3:cpu,cpuacct:/job\n2:cpuset:/\n1:name=systemd:/job\n");
    lay("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "-1\n");
    lay("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
    lay("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "9223372036854771712\n");
    assert_true(machine_cgroup_cpus(root) < 0);
    assert_true(machine_cgroup_memory(root) < 0);
    lay("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "325000\n");
    lay("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "5000000\n");
    lay("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "1000000\n");
    assert_true(machine_cgroup_cpus(root) == 3.25);
    assert_int_equal(machine_cgroup_memory(root), 4000000);
}

static void test_this_machine(void **state)
{
    (void)state;
    char reason[96] = "";
    int threads = machine_threads(reason, sizeof reason);
    assert_true(threads >= 1 && threads <= 1 << 16);
    assert_true(strstr(reason, "affinity mask") || strstr(reason, "cgroup quota"));
    cpu_set_t all, one;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &all))
            CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(machine_threads(NULL, 0), 1);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    assert_true(machine_memory() > 1 << 20);
    assert_true(machine_peak_resident() > 1 << 18);
    assert_true(strlen(machine_cpu_name()) > 2);
    double before = machine_seconds();
    assert_true(machine_seconds() >= before);
}

static void test_instruction_sets(void **state)
{
    (void)state;
    unsetenv("LMU_ISA");
    MachineIsa best = machine_isa();
    assert_true(best >= ISA_BASE && best < ISA_COUNT);
    assert_null(machine_isa_problem());
    for (int isa = 0; isa < ISA_COUNT; isa++) {
        setenv("LMU_ISA", machine_isa_name((MachineIsa)isa), 1);
        assert_int_equal(machine_isa(), isa < (int)best ? isa : (int)best);
        assert_null(machine_isa_problem());
    }
    setenv("LMU_ISA", "sse9", 1);
    assert_int_equal(machine_isa(), best);
    assert_non_null(strstr(machine_isa_problem(), "LMU_ISA is none of ref"));
    unsetenv("LMU_ISA");
    assert_string_equal(machine_isa_name(ISA_REFERENCE), "ref");
    assert_string_equal(machine_isa_name(ISA_COUNT), "unknown");
}

int main(void)
{
#define IN_ROOT(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)
    const struct CMUnitTest tests[] = {
        IN_ROOT(test_no_groups),
        IN_ROOT(test_version_2),
        IN_ROOT(test_container),
        IN_ROOT(test_version_1),
        cmocka_unit_test(test_this_machine),
        cmocka_unit_test(test_instruction_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
