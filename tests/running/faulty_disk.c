// A disk that fails or is slow: loaded into a process with LD_PRELOAD, it stands before the calls that write.
//
// The directory that FAULTY_DISK names says what is wrong at the moment, by the files that are there:
//   write-error  writing fails with EIO
//   sync-error   syncing fails with EIO
//   sync-ms      syncing takes longer by as many milliseconds as the file says

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int open_fault(const char *name) {
    const char *dir = getenv("FAULTY_DISK");
    char path[4096];
    if (dir == NULL || snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path) {
        return -1;
    }
    return open(path, O_RDONLY | O_CLOEXEC);
}

static int is_there(const char *name) {
    int fault = open_fault(name);
    if (fault >= 0) {
        close(fault);
    }
    return fault >= 0;
}

static void be_slow(void) {
    char text[16] = {0};
    int fault = open_fault("sync-ms");
    if (fault < 0) {
        return;
    }
    long ms = read(fault, text, sizeof text - 1) > 0 ? strtol(text, NULL, 10) : 0;
    close(fault);
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

static int synced(int file, const char *name) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    be_slow();
    if (is_there("sync-error")) {
        errno = EIO;
        return -1;
    }
    return real(file);
}

int fsync(int file) { return synced(file, "fsync"); }

int fdatasync(int file) { return synced(file, "fdatasync"); }

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t offset) {
    ssize_t (*real)(int, const void *, size_t, off64_t) =
        (ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    if (is_there("write-error")) {
        errno = EIO;
        return -1;
    }
    return real(file, bytes, count, offset);
}
