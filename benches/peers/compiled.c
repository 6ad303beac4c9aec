/* One side of inference.py: calls what a tree compiler made, without Python in between, and prints what it saw.
 *
 * Arguments: KIND LIBRARY INPUTS.f32 COLUMNS ROWS SECONDS, where KIND is lleaves or tl2cgen. Inputs as in native.rs.
 * lleaves takes doubles; they are made before the clock starts. Times are in microseconds.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef void (*lleaves_fn)(double *, double *, int, int);
union entry {
    int missing;
    float value;
    int code;
};
typedef void (*tl2cgen_fn)(union entry *, int, float *);

static double now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc != 7) return fprintf(stderr, "KIND LIBRARY INPUTS.f32 COLUMNS ROWS SECONDS\n"), 2;
    int lleaves = !strcmp(argv[1], "lleaves"), columns = atoi(argv[4]), rows = atoi(argv[5]);
    double limit = atof(argv[6]) * 1e6, start = now(CLOCK_MONOTONIC);
    void *library = dlopen(argv[2], RTLD_NOW);
    void *entry = library ? dlsym(library, lleaves ? "forest_root" : "predict") : NULL;
    if (!entry) return fprintf(stderr, "%s\n", dlerror()), 1;
    double load = now(CLOCK_MONOTONIC) - start;

    FILE *file = fopen(argv[3], "rb");
    if (!file) return perror(argv[3]), 1;
    fseek(file, 0, SEEK_END);
    size_t count = ftell(file) / sizeof(float);
    rewind(file);
    float *values = malloc(count * sizeof *values);
    double *doubles = malloc(count * sizeof *doubles), *out = malloc(rows * sizeof *out);
    union entry *entries = malloc(count * sizeof *entries);
    if (fread(values, sizeof *values, count, file) != count) return 1;
    /* TL2cgen's own predictor copies the rows as well, and asks every value whether it is missing. */
    for (size_t i = 0; i < count; i++) doubles[i] = values[i], entries[i].value = values[i];
    size_t batch = (size_t)columns * rows, batches = count / batch, calls = 0, room = 1 << 16;
    double *times = malloc(room * sizeof *times), cpu = now(CLOCK_THREAD_CPUTIME_ID);
    start = now(CLOCK_MONOTONIC);
    while (now(CLOCK_MONOTONIC) - start < limit) {
        for (size_t b = 0; b < batches; b++) {
            if (calls == room) times = realloc(times, (room *= 2) * sizeof *times);
            double from = now(CLOCK_MONOTONIC);
            if (lleaves) {
                ((lleaves_fn)entry)(doubles + b * batch, out, 0, rows);
            } else {
                for (int row = 0; row < rows; row++) {
                    float score;
                    ((tl2cgen_fn)entry)(entries + b * batch + (size_t)row * columns, 0, &score);
                    out[row] = score;
                }
            }
            times[calls++] = now(CLOCK_MONOTONIC) - from;
        }
    }
    cpu = (now(CLOCK_THREAD_CPUTIME_ID) - cpu) / calls;
    qsort(times, calls, sizeof *times, ascending);
    printf("{\"p50\": %.3f, \"cpu\": %.3f, \"load\": %.1f, \"last\": %.6g}\n", times[calls / 2], cpu, load, out[rows - 1]);
    return 0;
}
