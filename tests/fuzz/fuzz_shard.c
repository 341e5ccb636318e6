#include "fuzz_input.h"
#include "text/shard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32];
    Shard shard;
    int fd = fuzz_input(data, size, path);
    if (shard_open(path, &shard) == LMU_OK) {
        for (int64_t i = 0; i < shard.count; i++) {
            int32_t id;
            shard_read(&shard, i, 1, &id);
            fuzz_require(id >= 0 && id < shard.vocabulary);
        }
        shard_close(&shard);
    } else {
        fuzz_require(lmu_error_message()[0] != '\0');
    }
    close(fd);
    return 0;
}
