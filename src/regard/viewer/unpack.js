const unpacked = new WeakMap();

/** What a packed object holds, read once. */
function once(packed, read) {
  if (!unpacked.has(packed)) unpacked.set(packed, read());
  return unpacked.get(packed);
}

async function inflate(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** The value of each level: see packing.py. */
function valueOf({ levels, steps, top, decades, linear }, code) {
  if (code > levels) return NaN;
  const level = code > steps ? code - steps : code, sign = code > steps ? -1 : 1;
  if (level === 0) return 0;
  return sign * top * (linear ? level / steps : 10 ** (((level - steps) * decades) / (steps - 1)));
}

/** Numbers, exact to the levels that they were packed with. */
const numbers = (packed) => once(packed, async () => {
  const bytes = await inflate(packed.data);
  if (packed.levels < 255) {
    const table = Float32Array.from({ length: 256 }, (_, code) => valueOf(packed, code));
    return Float32Array.from(bytes, (code) => table[code]);
  }
  const count = bytes.length / 2;
  return Float32Array.from({ length: count }, (_, i) => valueOf(packed, bytes[i] | (bytes[count + i] << 8)));
});

const integers = (packed) => once(packed, async () => {
  const bytes = await inflate(packed.data), count = packed.integers;
  const at = (i) => bytes[i] | (bytes[count + i] << 8) | (bytes[2 * count + i] << 16) | (bytes[3 * count + i] << 24);
  return Int32Array.from({ length: count }, (_, i) => at(i) - 1);
});

async function texts(packed) {
  if (!packed || Array.isArray(packed)) return packed;
  return once(packed, async () => JSON.parse(new TextDecoder().decode(await inflate(packed.data))));
}

/** All that the page holds of a head. */
async function unpackHead(layer, head) {
  return once(head, async () => {
    const read = (packed) => (packed ? numbers(packed) : null);
    const [cells, entropy, received, weights] = await Promise.all(
      [head.map, head.entropy_bits, head.mass_received, head.top_weights].map(read),
    );
    const rectangles = await Promise.all((head.rectangles ?? []).map(async (place) => ({ ...place,
      cells: await numbers(place.weights) })));
    const top = weights && { weights, keys: await integers(head.top_keys), queries: await integers(layer.top_queries),
      count: layer.top_count };
    return { cells, entropy, received, top, rectangles };
  });
}
