/* Exact statistics of softmax(scale · Q Kᵀ), tile by tile: 64 rows lie side by side in vectors, keys stream past them.
 *
 * Lanes are rows, so every statistic of a row is a running vector and nothing is added across a vector but the mass that a
 * key receives. A first sweep over the keys finds each row's log-sum-exp, a second one reads the weights.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVX512F__)
enum { LANES = 16, VECTORS = 4, KEYS = 6 };  /* 4 × 6 sums fill the registers */
#elif defined(__AVX__)
enum { LANES = 8, VECTORS = 2, KEYS = 5 };
#else
enum { LANES = 4, VECTORS = 4, KEYS = 5 };
#endif
enum { ROWS = 64, ROW_VECTORS = ROWS / LANES, CHUNK = 60, MOST_TOP = 64, MOST_CELLS = 6 };

typedef float vf __attribute__((vector_size(LANES * 4)));
typedef int32_t vi __attribute__((vector_size(LANES * 4)));
typedef uint8_t vb __attribute__((vector_size(LANES)));

static const float NOTHING = -INFINITY, LEAST = -1.7e38f;

typedef struct {
  const float *query, *key, *sinks;
  int64_t query_strides[3], key_strides[3]; /* batch, head, row; in floats */
  int64_t queries, keys, dim, heads, group;
  int64_t left, right; /* a row may look from row − left to row + right */
  int64_t first_query, top, sink_keys, window, num_segments, segment_stride;
  const int32_t *segments;
  int64_t cell_height, cell_width, row_cells, key_cells;
  float scale, softcap;
  float *entropy, *lse, *largest, *top_weights, *total, *mean, *spread, *sink, *near, *previous, *segment_shares, *map, *permitted;
  int64_t *top_keys;
} Call;

/* Rows of all sequences that share what is written for them: who may look, and what is added to the scores. */
typedef struct {
  int64_t first_row, num_rows, num_runs;
  const int64_t *runs; /* first and last + 1 of each run of keys; NULL: as the band says */
  const uint8_t *mask; /* (batch, heads, keys, rows), rows side by side and filled up to a multiple of ROWS; or NULL */
  const float *bias;
  int64_t mask_strides[3], bias_strides[3]; /* batch, head, key */
} Part;

typedef struct {
  vf query[512][ROW_VECTORS]; /* (dim, rows) */
  vf chunk[CHUNK][ROW_VECTORS], (*scores)[ROW_VECTORS]; /* of the chunk at hand: here, or in the strip */
  vf lse[ROW_VECTORS], peak[ROW_VECTORS], peak_at[ROW_VECTORS], mass[ROW_VECTORS], row_at[ROW_VECTORS];
  vf top[MOST_TOP][ROW_VECTORS];
  vi top_at[MOST_TOP][ROW_VECTORS];
  vf cells[MOST_CELLS][ROW_VECTORS]; /* 1 for the rows of each row of cells */
  double total[ROWS], entropy[ROWS], first[ROWS], second[ROWS], near[ROWS];
  vf permitted[ROW_VECTORS], sink[ROW_VECTORS], previous[ROW_VECTORS], usual[ROW_VECTORS]; /* the distance of the largest weight */
} Tile;

/* Memory of a thread, with a strip that holds the scores of a tile with so many keys. */
int64_t regard_scratch_bytes(int64_t strip_keys) { return sizeof(Tile) + strip_keys * (int64_t)sizeof(vf[ROW_VECTORS]); }
int64_t regard_most_dim(void) { return 512; }
int64_t regard_most_top(void) { return MOST_TOP; }

static inline vf all(float x) { return x - (vf){0}; }
static inline vf pick(vi where, vf yes, vf no) { return (vf)((where & (vi)yes) | (~where & (vi)no)); }
static inline vf size_of(vf x) { return (vf)((vi)x & 0x7fffffff); }
static inline int any(vi where) {
  int32_t found = 0;
  for (int lane = 0; lane < LANES; lane++) found |= where[lane];
  return found;
}

static inline float sum(vf x) {
#if defined(__AVX512F__)
  typedef float v8 __attribute__((vector_size(32)));
  v8 eight = __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7) + __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15);
#elif defined(__AVX__)
  vf eight = x;
#endif
#if defined(__AVX__)
  typedef float v4 __attribute__((vector_size(16)));
  v4 four = __builtin_shufflevector(eight, eight, 0, 1, 2, 3) + __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
#else
  vf four = x;
#endif
  return (four[0] + four[1]) + (four[2] + four[3]);
}

/* eˣ for x ≤ 88, to 2 units in the last place; 0 below −87, also for −∞. */
static inline vf exponential(vf x) {
  vi vanishes = x < -87.0f;
  x = pick(vanishes, all(-87.0f), x);
  vf turns = x * 1.44269504f + 12582912.0f; /* rounds to a whole number in the low bits */
  vi whole = (vi)turns - 0x4b400000;
  vf count = turns - 12582912.0f;
  vf rest = x - count * 0.693359375f + count * 2.12194440e-4f;
  vf sum = rest * 1.9875691500e-4f + 1.3981999507e-3f;
  sum = sum * rest + 8.3334519073e-3f;
  sum = sum * rest + 4.1665795894e-2f;
  sum = sum * rest + 1.6666665459e-1f;
  sum = sum * rest + 5.0000001201e-1f;
  sum = sum * (rest * rest) + rest + 1.0f;
  return (vf)(~vanishes & ((vi)sum + (whole << 23)));
}

static inline vf tangent(vf x) {
  vf size = size_of(x), small = exponential(-2 * size);
  vf far = (1 - small) / (1 + small);
  vf result = pick(size < 0.04f, size - size * size * size / 3, far);
  return pick(x < 0, -result, result);
}

/* Scores of VECTORS vectors of rows and up to KEYS keys. */
static inline __attribute__((always_inline)) void multiply(const Call *call, Tile *tile, const float *const *key, int count,
                                                           int to, int vector) {
  vf sums[KEYS][VECTORS];
  for (int k = 0; k < KEYS; k++)
    for (int v = 0; v < VECTORS; v++) sums[k][v] = (vf){0};
  for (int64_t d = 0; d < call->dim; d++) {
    vf rows[VECTORS];
    for (int v = 0; v < VECTORS; v++) rows[v] = tile->query[d][vector + v];
#pragma GCC unroll 8
    for (int k = 0; k < KEYS; k++) {
      vf one = all(key[k][d]);
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; v++) sums[k][v] += one * rows[v];
    }
  }
  for (int k = 0; k < count; k++)
    for (int v = 0; v < VECTORS; v++) tile->scores[to + k][vector + v] = sums[k][v];
}

static void add_written(const Part *part, Tile *tile, int64_t batch, int64_t head, int64_t first, int count, int64_t row) {
  for (int k = 0; k < count; k++)
    for (int v = 0; v < ROW_VECTORS; v++) {
      vf s = tile->scores[k][v];
      if (part->bias) {
        const float *from = part->bias + batch * part->bias_strides[0] + head * part->bias_strides[1];
        vf added;
        memcpy(&added, from + (first + k) * part->bias_strides[2] + row + v * LANES, sizeof added);
        s += added;
        s = pick(s < LEAST, all(NOTHING), s);
      }
      if (part->mask) {
        const uint8_t *from = part->mask + batch * part->mask_strides[0] + head * part->mask_strides[1];
        vb may;
        memcpy(&may, from + (first + k) * part->mask_strides[2] + row + v * LANES, sizeof may);
        s = pick(__builtin_convertvector(may, vi) != 0, s, all(NOTHING));
      }
      tile->scores[k][v] = s;
    }
}

/* Scores of the keys first … first + count − 1 with the rows of a tile; −∞ where a row may not look. Is there any such? */
static int score(const Call *call, const Part *part, Tile *tile, int64_t batch, int64_t head, int64_t row, int64_t last_row,
                  int64_t first, int count) {
  const float *keys = call->key + batch * call->key_strides[0] + (head / call->group) * call->key_strides[1];
  for (int k = 0; k < count; k += KEYS) {
    const float *near[KEYS];
    int some = count - k < KEYS ? count - k : KEYS;
    for (int i = 0; i < KEYS; i++) near[i] = keys + (first + k + (i < some ? i : 0)) * call->key_strides[2];
    for (int v = 0; v < ROW_VECTORS; v += VECTORS) multiply(call, tile, near, some, k, v);
  }
  if (call->softcap > 0)
    for (int k = 0; k < count; k++)
      for (int v = 0; v < ROW_VECTORS; v++)
        tile->scores[k][v] = call->softcap * tangent(tile->scores[k][v] / call->softcap);
  if (part->bias || part->mask) add_written(part, tile, batch, head, first, count, row - part->first_row);
  int cuts = (call->left < INT64_MAX && first < last_row - call->left) ||
             (call->right < INT64_MAX && first + count - 1 > row + call->right);
  if (!cuts) return part->bias || part->mask;
  int64_t shift = first - row; /* of the first key from the first row */
  int64_t most = call->right < 1 << 30 ? call->right : 1 << 30, least = call->left < 1 << 30 ? -call->left : -(1 << 30);
  for (int k = 0; k < count; k++)
    for (int v = 0; v < ROW_VECTORS; v++) {
      vi ahead;
      for (int lane = 0; lane < LANES; lane++) ahead[lane] = (int32_t)(shift + k - v * LANES - lane);
      vi may = (ahead <= (int32_t)most) & (ahead >= (int32_t)least);
      tile->scores[k][v] = pick(may, tile->scores[k][v], all(NOTHING));
    }
  return 1;
}

/* How many of the keys each row may look at. */
static void permit(Tile *tile, int count, int is_cut) {
  for (int v = 0; v < ROW_VECTORS; v++) {
    vi some = {0};
    for (int k = 0; is_cut && k < count; k++) some -= ~(tile->scores[k][v] < LEAST); /* true is −1; NaN is a score */
    tile->permitted[v] += is_cut ? __builtin_convertvector(some, vf) : all((float)count);
  }
}

/* First sweep: greatest score, where it is, and Σ exp(score − greatest) so far. Two vectors at a time hide each other's waits. */
static void weigh(Tile *tile, int64_t first, int count) {
  for (int v = 0; v < ROW_VECTORS; v += 2) {
    vf peak[2], at[2], safe[2], mass[2], other[2] = {{0}, {0}};
    for (int i = 0; i < 2; i++) peak[i] = tile->peak[v + i], at[i] = tile->peak_at[v + i];
    for (int k = 0; k < count; k++)
#pragma GCC unroll 2
      for (int i = 0; i < 2; i++) {
        vi is_larger = tile->scores[k][v + i] > peak[i];
        peak[i] = pick(is_larger, tile->scores[k][v + i], peak[i]);
        at[i] = pick(is_larger, all((float)(first + k)), at[i]);
      }
    for (int i = 0; i < 2; i++) {
      safe[i] = pick(peak[i] < LEAST, all(0), peak[i]);
      mass[i] = tile->mass[v + i] * exponential(tile->peak[v + i] - safe[i]);
    }
    int k = 0;
    for (; k + 1 < count; k += 2)
#pragma GCC unroll 2
      for (int i = 0; i < 2; i++) {
        mass[i] += exponential(tile->scores[k][v + i] - safe[i]);
        other[i] += exponential(tile->scores[k + 1][v + i] - safe[i]);
      }
    for (int i = 0; i < 2; i++) {
      if (k < count) mass[i] += exponential(tile->scores[k][v + i] - safe[i]);
      tile->peak[v + i] = peak[i];
      tile->peak_at[v + i] = at[i];
      tile->mass[v + i] = mass[i] + other[i];
    }
  }
}

static void rank(const Call *call, Tile *tile, int v, vf s, int32_t key) {
  vi at = key - (vi){0};
  for (int64_t i = 0; i < call->top; i++) {
    vi beats = s > tile->top[i][v];
    vf lost = pick(beats, tile->top[i][v], s);
    vi lost_at = (beats & tile->top_at[i][v]) | (~beats & at);
    tile->top[i][v] = pick(beats, s, tile->top[i][v]);
    tile->top_at[i][v] = (beats & at) | (~beats & tile->top_at[i][v]);
    s = lost;
    at = lost_at;
  }
}

/* Where the keys of a chunk lie, seen from the rows of a tile. */
typedef struct {
  float from; /* of the first key, from the first row */
  int is_near, may_be_near, has_previous;
} Place;

static Place place_of(const Call *call, int64_t row, int64_t first, int count) {
  int64_t from = first - row - call->first_query, apart = from < 0 ? -from : from;
  int is_near = apart + ROWS + count <= call->window;
  return (Place){(float)from, is_near, !is_near && apart - ROWS - count <= call->window, from <= ROWS && from + count >= -1};
}

/* Running sums of a vector of rows. */
typedef struct {
  vf lse, row_at, usual, least, total, entropy, one, two, near;
} Sums;

static inline __attribute__((always_inline)) void take(const Call *call, Tile *tile, Sums *sums, const Place *place, int v,
                                                       int64_t first, int k, int top) {
  vf s = tile->scores[k][v], logarithm = s - sums->lse, p = exponential(logarithm);
  vi beats = s > sums->least;
  if (top == 1) {
    sums->least = pick(beats, s, sums->least);
    tile->top_at[0][v] = (beats & ((int32_t)(first + k) - (vi){0})) | (~beats & tile->top_at[0][v]);
  } else if (any(beats)) {
    rank(call, tile, v, s, (int32_t)(first + k));
    sums->least = tile->top[top - 1][v];
  }
  vf ahead = (float)k - sums->row_at, distance = size_of(ahead), step = distance - sums->usual; /* small where the weight is */
  sums->total += p;
  sums->entropy -= p * pick(logarithm < -87.0f, all(0), logarithm);
  sums->one += p * step;
  sums->two += p * step * step;
  if (place->may_be_near) sums->near += pick(distance <= (float)call->window, p, all(0));
  if (place->has_previous) tile->previous[v] += pick(ahead == -1.0f, p, all(0));
  tile->scores[k][v] = p;
}

/* Second sweep: weights in the place of scores, and what rows know of them. */
static inline __attribute__((always_inline)) void read_for(const Call *call, Tile *tile, const Place *place, int64_t first,
                                                           int count, int top) {
  for (int v = 0; v < ROW_VECTORS; v += 2) {
    Sums sums[2];
    for (int i = 0; i < 2; i++)
      sums[i] = (Sums){.lse = tile->lse[v + i],
                       .row_at = tile->row_at[v + i] - place->from,
                       .usual = tile->usual[v + i],
                       .least = tile->top[top - 1][v + i]};
    for (int k = 0; k < count; k++)
#pragma GCC unroll 2
      for (int i = 0; i < 2; i++) take(call, tile, &sums[i], place, v + i, first, k, top);
    for (int i = 0; i < 2; i++) {
      if (top == 1) tile->top[0][v + i] = sums[i].least;
      for (int lane = 0; lane < LANES; lane++) {
        int r = (v + i) * LANES + lane;
        tile->total[r] += sums[i].total[lane];
        tile->entropy[r] += sums[i].entropy[lane];
        tile->first[r] += sums[i].one[lane];
        tile->second[r] += sums[i].two[lane];
        tile->near[r] += place->is_near ? sums[i].total[lane] : sums[i].near[lane];
      }
    }
  }
}

static void read(const Call *call, Tile *tile, int64_t row, int64_t first, int count) {
  Place place = place_of(call, row, first, count), far = {place.from, place.is_near, 0, 0};
  int is_far = !place.may_be_near && !place.has_previous;
  if (call->top == 1 && is_far) read_for(call, tile, &far, first, count, 1);
  else if (call->top == 1) read_for(call, tile, &place, first, count, 1);
  else read_for(call, tile, &place, first, count, (int)call->top);
}

/* What a key receives from the rows of each row of cells. */
static inline float share(const Tile *tile, int k, int cell) {
  vf inside = tile->scores[k][0] * tile->cells[cell][0];
  for (int v = 1; v < ROW_VECTORS; v++) inside += tile->scores[k][v] * tile->cells[cell][v];
  return sum(inside);
}

/* What keys receive, and the cells that this falls into. */
static void give(const Call *call, Tile *tile, int64_t batch, int64_t head, int64_t row, int64_t num_rows, int64_t first,
                 int count, double *received) {
  int64_t cell = row / call->cell_height, cells = (row + num_rows - 1) / call->cell_height - cell + 1;
  int64_t column = first / call->cell_width, next = (column + 1) * call->cell_width;
  float *map = call->map + ((batch * call->heads + head) * call->row_cells + cell) * call->key_cells;
  for (int k = 0; k < count; k++) {
    if (first + k == next) column++, next += call->cell_width;
    float mass = 0;
    if (cells <= MOST_CELLS) {
      for (int c = 0; c < cells; c++) {
        float part = share(tile, k, c);
        map[c * call->key_cells + column] += part;
        mass += part;
      }
    } else {
      const float *one = (const float *)tile->scores[k];
      for (int64_t r = 0; r < num_rows; r++) {
        map[((row + r) / call->cell_height - cell) * call->key_cells + column] += one[r];
        mass += one[r];
      }
    }
    received[first + k] += mass;
  }
}

static void give_segments(const Call *call, Tile *tile, int64_t place, int64_t batch, int64_t num_rows, int64_t first, int count) {
  for (int k = 0; k < count; k++) {
    int64_t segment = call->segments[batch * call->segment_stride + first + k];
    if (segment < 0) continue;
    const float *one = (const float *)tile->scores[k];
    for (int64_t r = 0; r < num_rows; r++) call->segment_shares[(place + r) * call->num_segments + segment] += one[r];
  }
}

static void begin(const Call *call, Tile *tile, int64_t batch, int64_t head, int64_t row, int64_t num_rows) {
  const float *from = call->query + batch * call->query_strides[0] + head * call->query_strides[1] + row * call->query_strides[2];
  for (int64_t d = 0; d < call->dim; d++) {
    float *to = (float *)tile->query[d];
    for (int64_t r = 0; r < ROWS; r++) to[r] = r < num_rows ? from[r * call->query_strides[2] + d] * call->scale : 0;
  }
  for (int v = 0; v < ROW_VECTORS; v++) {
    tile->peak[v] = all(NOTHING);
    tile->peak_at[v] = (vf){0};
    tile->mass[v] = tile->permitted[v] = tile->sink[v] = tile->previous[v] = (vf){0};
    for (int lane = 0; lane < LANES; lane++) tile->row_at[v][lane] = (float)(v * LANES + lane);
    for (int64_t i = 0; i < call->top; i++) tile->top[i][v] = all(NOTHING), tile->top_at[i][v] = (vi){0} - 1;
  }
  for (int r = 0; r < ROWS; r++) tile->total[r] = tile->entropy[r] = tile->first[r] = tile->second[r] = tile->near[r] = 0;
  for (int c = 0; c < MOST_CELLS; c++)
    for (int64_t r = 0; r < ROWS; r++)
      ((float *)tile->cells[c])[r] = r < num_rows && (row + r) / call->cell_height == row / call->cell_height + c;
}

static void settle(const Call *call, Tile *tile, int64_t head, int64_t row, int64_t place, int64_t num_rows) {
  for (int v = 0; v < ROW_VECTORS; v++)
    tile->usual[v] = size_of(tile->peak_at[v] - tile->row_at[v] - (float)(row + call->first_query));
  float *lse = (float *)tile->lse;
  for (int64_t r = 0; r < ROWS; r++) {
    float peak = ((float *)tile->peak)[r], mass = ((float *)tile->mass)[r];
    float found = peak < LEAST ? NOTHING : peak + logf(mass);
    if (r < num_rows) call->lse[place + r] = found, call->largest[place + r] = peak < LEAST ? NOTHING : peak;
    if (call->sinks && found > LEAST) {
      float sink = call->sinks[head], high = found > sink ? found : sink;
      found = high + logf(expf(found - high) + expf(sink - high));
    }
    lse[r] = r < num_rows && found > LEAST ? found : INFINITY; /* so that no weight comes out above 0 */
  }
}

static void finish(const Call *call, Tile *tile, int64_t place, int64_t num_rows) {
  for (int64_t r = 0; r < num_rows; r++) {
    double total = tile->total[r], shift = total > 0 ? tile->first[r] / total : 0;
    double mean = total > 0 ? ((float *)tile->usual)[r] + shift : 0;
    double spread = total > 0 ? tile->second[r] / total - shift * shift : 0;
    float lse = ((float *)tile->lse)[r];
    call->entropy[place + r] = (float)(tile->entropy[r] / M_LN2);
    call->total[place + r] = (float)total;
    call->mean[place + r] = (float)mean;
    call->spread[place + r] = spread > 0 ? (float)sqrt(spread) : 0;
    call->near[place + r] = (float)tile->near[r];
    call->sink[place + r] = ((float *)tile->sink)[r];
    call->permitted[place + r] = ((float *)tile->permitted)[r];
    call->previous[place + r] = ((float *)tile->previous)[r];
    for (int64_t i = 0; i < call->top; i++) {
      float s = ((float *)tile->top[i])[r], weight = s > LEAST ? expf(s - lse) : 0;
      call->top_weights[(place + r) * call->top + i] = weight;
      call->top_keys[(place + r) * call->top + i] = weight > 0 ? ((int32_t *)tile->top_at[i])[r] : -1;
    }
  }
}

static int next_chunk(const int64_t *runs, int64_t num_runs, int64_t *run, int64_t *at, int *count) {
  while (*run < num_runs && *at >= runs[2 * *run + 1])
    if (++*run < num_runs) *at = runs[2 * *run];
  if (*run >= num_runs) return 0;
  int64_t left = runs[2 * *run + 1] - *at;
  *count = left < CHUNK ? (int)left : CHUNK;
  return 1;
}

/* Statistics of the rows of a part, of one head of one sequence. `received` (keys) is added to.
 * `scratch` is aligned to 64 bytes and of regard_scratch_bytes(strip_keys). */
void regard_measure(const Call *call, const Part *part, int64_t batch, int64_t head, void *scratch, int64_t strip_keys,
                    double *received) {
  Tile *tile = scratch;
  vf(*strip)[ROW_VECTORS] = (vf(*)[ROW_VECTORS])(tile + 1);
  for (int64_t row = part->first_row; row < part->first_row + part->num_rows; row += ROWS) {
    int64_t left = part->first_row + part->num_rows - row, num_rows = left < ROWS ? left : ROWS, last = row + num_rows - 1;
    int64_t place = (batch * call->heads + head) * call->queries + row;
    int64_t band[2] = {call->left < INT64_MAX && row - call->left > 0 ? row - call->left : 0,
                       call->right < INT64_MAX && last + call->right + 1 < call->keys ? last + call->right + 1 : call->keys};
    const int64_t *runs = part->runs ? part->runs : band;
    int64_t num_runs = part->runs ? part->num_runs : 1;
    begin(call, tile, batch, head, row, num_rows);
    int64_t seen = 0;
    for (int64_t run = 0; run < num_runs; run++) seen += runs[2 * run + 1] > runs[2 * run] ? runs[2 * run + 1] - runs[2 * run] : 0;
    int count, is_kept = seen <= strip_keys;
    tile->scores = is_kept ? strip : tile->chunk;
    for (int64_t run = 0, at = num_runs ? runs[0] : 0; next_chunk(runs, num_runs, &run, &at, &count); at += count) {
      permit(tile, count, score(call, part, tile, batch, head, row, last, at, count));
      weigh(tile, at, count);
      if (is_kept) tile->scores += count;
    }
    tile->scores = is_kept ? strip : tile->chunk;
    settle(call, tile, head, row, place, num_rows);
    for (int64_t run = 0, at = num_runs ? runs[0] : 0; next_chunk(runs, num_runs, &run, &at, &count); at += count) {
      if (!is_kept) score(call, part, tile, batch, head, row, last, at, count);
      read(call, tile, row, at, count);
      for (int k = 0; k < count && at + k < call->sink_keys; k++)
        for (int v = 0; v < ROW_VECTORS; v++) tile->sink[v] += tile->scores[k][v];
      give(call, tile, batch, head, row, num_rows, at, count, received);
      if (call->num_segments) give_segments(call, tile, place, batch, num_rows, at, count);
      if (is_kept) tile->scores += count;
    }
    finish(call, tile, place, num_rows);
  }
}
