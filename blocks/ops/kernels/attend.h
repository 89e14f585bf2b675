// Attention of many queries. Keys and values are laid out as pairs, and no score leaves the cache:
// Dao et al., "FlashAttention", 2022, arXiv:2205.14135.
#pragma once

#include "blocked.h"

#if defined(__AVX512BF16__)
namespace {
namespace many_rows {

constexpr int64_t SPAN = 256;  // keys between two looks at the highest score

// 2^v for v <= 0, to a few units of float32's last place.
inline Floats power_of_two(Floats v) {
  const __m512 low = _mm512_max_ps(_mm512_set1_ps(-126), (__m512)v);  // what is no number stays
  const __m512 n = _mm512_roundscale_ps(low, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const Floats r = (Floats)low - (Floats)n;
  Floats p = r * 1.33977383e-3f + 9.61835454e-3f;
  p = p * r + 5.55040684e-2f;
  p = p * r + 2.40226506e-1f;
  p = p * r + 6.93147182e-1f;
  p = p * r + 1.0f;
  return (Floats)_mm512_scalef_ps((__m512)p, n);
}

// A view [B H T E] whose channels lie side by side.
struct View {
  const bf16* at;
  int64_t batch, heads, tokens, width, batch_step, head_step, token_step;

  explicit View(const Tensor& t)
      : at(data<bf16>(t)), batch(t.size(0)), heads(t.size(1)), tokens(t.size(2)), width(t.size(3)),
        batch_step(t.stride(0)), head_step(t.stride(1)), token_step(t.stride(2)) {}

  const bf16* row(int64_t b, int64_t h, int64_t t) const {
    return at + b * batch_step + h * head_step + t * token_step;
  }
};

// The keys and values of one head, 32 tokens at a time: keys as columns, values as rows of pairs.
struct Pairs {
  int64_t tokens, e, width;  // tokens: with those that make up the last 32
  std::unique_ptr<Line[]> held;

  Pairs(const View& k, const View& v)
      : tokens((k.tokens + BROAD - 1) / BROAD * BROAD), e(k.width), width(v.width),
        held(lines(k.batch * k.heads * size())) {
    const int64_t blocks = tokens / BROAD;
    share(k.batch * k.heads * blocks, [&] {
      return [&](int64_t task) {
        const int64_t head = task / blocks, b = head / k.heads, h = head % k.heads;
        const int64_t s = task % blocks * BROAD, left = k.tokens - s;
        for (int64_t i = 0; i < BROAD; i += LANES)
          lay(k.row(b, h, s + i), k.token_step, std::clamp<int64_t>(left - i, 0, LANES), e / 2,
              keys(head, s)[i / LANES].pairs, BROAD);
        for (int64_t j = 0; j < BROAD; j += 2)
          for (int64_t i = 0; i < width; i += LANES) {
            Words pair = {};  // of a token that isn't there, nothing
            if (j < left) pair = words(v.row(b, h, s + j) + i);
            if (j + 1 < left) pair |= words(v.row(b, h, s + j + 1) + i) << 16;
            std::memcpy(values(head, i / BROAD, s + j) + i / LANES % 2, &pair, sizeof pair);
          }
      };
    });
  }

  int64_t size() const { return tokens * (e + width) / BROAD; }
  Line* keys(int64_t head, int64_t s) const { return &held[head * size() + s * e / BROAD]; }
  Line* values(int64_t head, int64_t panel, int64_t s) const {
    return keys(head, tokens) + panel * tokens + s;
  }
  static Words words(const bf16* from) { return __builtin_convertvector(read<Halves>(from), Words); }
};

// R queries of one head, as pairs; the first sees `seen` keys, each other one `later` more than the
// one before it. What they find goes to sums [R width], to be divided by `totals`; the logarithm of
// what they would be divided by, were no power relative to the highest one, to `logs`.
template <int R>
struct Rows {
  static void run(const uint32_t* q, const Pairs& pairs, int64_t head, int64_t seen, int64_t later,
                  float scale, float* sums, float* totals, float* logs) {
    alignas(64) float scores[R][SPAN];
    alignas(64) uint32_t powers[R][SPAN / 2];
    float most[R];
    Floats total[R] = {};
    std::fill(most, most + R, -INFINITY);
    std::fill(sums, sums + R * pairs.width, 0.0f);
    const int64_t all = seen + (R - 1) * later;
    for (int64_t start = 0; start < all; start += SPAN) {
      const int64_t some = std::min(SPAN, (all - start + BROAD - 1) / BROAD * BROAD);
      Floats found[R][2];
      for (int64_t s = 0; s < some; s += BROAD) {
        tile<R>(q, pairs.keys(head, start + s), pairs.e / 2, found);
        for (int r = 0; r < R; r++)
          for (int i = 0; i < 2; i++) keep(found[r][i] * scale, scores[r] + s + i * LANES);
      }
      for (int r = 0; r < R; r++) {
        const int64_t known = std::max<int64_t>(seen + r * later - start, 0);
        std::fill(scores[r] + std::min(known, some), scores[r] + some, -INFINITY);
        Floats top = wide(scores[r]);
        for (int64_t s = LANES; s < some; s += LANES) {
          const Floats other = wide(scores[r] + s);
          top = top > other ? top : other;
        }
        const float before = most[r];
        most[r] = std::max(before, highest(top));
        const float less = std::exp2(before - most[r]);
        total[r] *= less;
        for (int64_t s = 0; s < some; s += LANES) {
          const Floats power = power_of_two(wide(scores[r] + s) - most[r]);
          total[r] += power;
          narrow(power, reinterpret_cast<bf16*>(powers[r]) + s);
        }
        float* own = sums + r * pairs.width;
        for (int64_t i = 0; i < pairs.width && less != 1; i += LANES) keep(wide(own + i) * less, own + i);
      }
      for (int64_t i = 0; i < pairs.width; i += BROAD) {
        tile<R, 1, SPAN / 2>(powers[0], pairs.values(head, i / BROAD, start), some / 2, found);
        for (int r = 0; r < R; r++)
          for (int j = 0; j < 2; j++) {
            float* own = sums + r * pairs.width + i + j * LANES;
            keep(wide(own) + found[r][j], own);
          }
      }
    }
    for (int r = 0; r < R; r++) {
      totals[r] = sum(total[r]);
      logs[r] = (most[r] + std::log2(totals[r])) * 0.69314718f;
    }
  }

  static void keep(Floats values, float* to) { std::memcpy(to, &values, sizeof values); }
};

// q [B H T E], k [B K S E], v [B K S V] -> y [B T H V]. A query sees all keys or, where the last one
// sees all, each earlier one a key less. logs [B H T] may be none.
inline void attend_blocked(const View& q, const View& k, const View& v, bool causal, float scale, bf16* y,
                           float* logs = nullptr) {
  const Pairs pairs(k, v);
  const int64_t blocks = (q.tokens + TALL - 1) / TALL, rows = (q.tokens + blocks - 1) / blocks;
  const int64_t heads = q.batch * k.heads, each = q.heads / k.heads, width = v.width;
  share(heads * blocks, [&] {
    return [&, laid = lines(TALL * q.width / BROAD), held = lines(TALL * width / LANES)](int64_t task) {
      const int64_t start = (blocks - 1 - task / heads) * rows;  // those that see most come first
      const int64_t count = std::min(rows, q.tokens - start);
      if (count <= 0) return;
      const int64_t head = task % heads, b = head / k.heads, first = head % k.heads * each;
      const int64_t seen = causal ? k.tokens - q.tokens + start + 1 : k.tokens;
      auto* sums = reinterpret_cast<float*>(held.get());
      for (int64_t h = first; h < first + each; h++) {
        float totals[TALL], own_logs[TALL];
        lay(q.row(b, h, start), q.token_step, count, q.width / 2, laid[0].pairs, count);
        by_rows<Rows>(count)(laid[0].pairs, pairs, head, seen, causal, scale * 1.44269504f, sums, totals,
                             own_logs);
        if (logs) std::copy_n(own_logs, count, logs + (b * q.heads + h) * q.tokens + start);
        for (int64_t r = 0; r < count; r++)
          for (int64_t i = 0; i < width; i += LANES)
            narrow(wide(sums + r * width + i) * (1 / totals[r]),
                   y + ((b * q.tokens + start + r) * q.heads + h) * width + i);
      }
    };
  });
}

}  // namespace many_rows
}  // namespace
#endif
