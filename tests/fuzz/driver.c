/*
 * Runs a fuzz target without libFuzzer, so that `make test` needs no clang: every file of the corpus, then a
 * fixed number of mutations of them from a fixed seed. It finds what is broken, not what is new; for that,
 * build with `cmake --preset fuzz` and let libFuzzer run.
 *
 * usage: PROGRAM ROUNDS FOLDER
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX (64u << 10)
#define INPUTS_MAX 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
  uint8_t *data;
  size_t len;
} inputs[INPUTS_MAX];
static size_t input_count;
static uint64_t state = 1;

/* xorshift64* (Vigna 2016): the same sequence everywhere. */
static uint64_t next_random(void) {
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return state * UINT64_C(2685821657736338717);
}

static size_t below(size_t bound) {
  return bound > 0 ? (size_t)(next_random() % bound) : 0;
}

static int read_input(const char *folder, const char *name) {
  char path[4096];
  FILE *file;

  snprintf(path, sizeof(path), "%s/%s", folder, name);
  file = fopen(path, "rb");
  if (file == NULL) return -1;
  inputs[input_count].data = malloc(INPUT_MAX);
  if (inputs[input_count].data != NULL) {
    inputs[input_count].len = fread(inputs[input_count].data, 1, INPUT_MAX, file);
    input_count++;
  }
  return fclose(file);
}

static int read_corpus(const char *folder) {
  struct dirent *entry;
  DIR *dir = opendir(folder);

  if (dir == NULL) return -1;
  while ((entry = readdir(dir)) != NULL && input_count < INPUTS_MAX)
    if (entry->d_name[0] != '.' && read_input(folder, entry->d_name) < 0) break;
  closedir(dir);
  return entry == NULL && input_count > 0 ? 0 : -1;
}

/* A piece of one input over or into another; a few bytes changed; a cut. */
static size_t mutate(uint8_t *out) {
  size_t from = below(input_count), other = below(input_count), len = inputs[from].len;

  memcpy(out, inputs[from].data, len);
  for (size_t i = below(8); i > 0 && len > 0; i--) {
    size_t at = below(len);
    unsigned flipped = out[at] ^ (1u << below(8)), fresh = (unsigned)(next_random() & 0xff);

    out[at] = (uint8_t)((below(4) > 0 ? flipped : fresh) & 0xff);
  }
  if (below(3) == 0 && inputs[other].len > 0) {
    size_t piece = 1 + below(inputs[other].len), at = below(len + 1);

    if (at + piece > INPUT_MAX) piece = INPUT_MAX - at;
    memcpy(out + at, inputs[other].data + below(inputs[other].len - piece + 1), piece);
    if (at + piece > len) len = at + piece;
  }
  return below(4) == 0 ? below(len + 1) : len;
}

/* In memory of its own size, so that a sanitizer sees the first byte read beyond it. */
static void run_one(const uint8_t *data, size_t len) {
  uint8_t *copy = malloc(len > 0 ? len : 1);

  if (copy == NULL) return;
  memcpy(copy, data, len);
  LLVMFuzzerTestOneInput(copy, len);
  free(copy);
}

int main(int argc, char **argv) {
  static uint8_t mutated[INPUT_MAX];
  long rounds = argc == 3 ? strtol(argv[1], NULL, 10) : 0;

  if (rounds <= 0 || read_corpus(argv[2]) < 0) {
    fprintf(stderr, "usage: %s ROUNDS FOLDER (with at least one file)\n", argv[0]);
    return 2;
  }
  for (size_t i = 0; i < input_count; i++)
    run_one(inputs[i].data, inputs[i].len);
  for (long i = 0; i < rounds; i++)
    run_one(mutated, mutate(mutated));
  printf("%zu inputs and %ld mutations of them\n", input_count, rounds);
  for (size_t i = 0; i < input_count; i++)
    free(inputs[i].data);
  return 0;
}
