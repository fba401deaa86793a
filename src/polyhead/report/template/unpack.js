// The page's data: matrices in base64, shared facts stored once. A run is unpacked when it is first shown.

const DATA = JSON.parse(document.getElementById("data").textContent);

function unpacked(value) {
  if (Array.isArray(value)) return value.map(unpacked);
  if (value === null || typeof value !== "object") return value;
  if ("packed" in value) return matrixOf(value);
  const own = Object.entries(value).map(([key, part]) => [key, unpacked(part)]);
  return "shared" in value ? { ...DATA.shared[value.shared], ...Object.fromEntries(own) } : Object.fromEntries(own);
}

function bytesOf(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

function matrixOf(packed) {
  const bytes = bytesOf(packed.packed), view = new DataView(bytes.buffer);
  const read = {
    percent: () => [...bytes].map((value) => (value === 255 ? null : value)),
    place: () => shorts(view).map((value) => (value === -32768 ? null : value)),
    cents: () => shorts(view).map((value) => (value === -32768 ? null : value / 100)),
    half: () => shorts(view).map((bits) => half(bits & 0xffff, packed.exponent)),
  };
  const values = read[packed.as](), rows = [];
  for (let start = 0; start < values.length; start += packed.columns) rows.push(values.slice(start, start + packed.columns));
  return rows;
}

function shorts(view) {
  return Array.from({ length: view.byteLength / 2 }, (_, place) => view.getInt16(2 * place, true));
}

// a float of 16 bits times a power of two, to the three digits that it holds; null for NaN
function half(bits, exponent) {
  const power = (bits >> 10) & 31, part = bits & 1023;
  if (power === 31) return null;
  const size = power ? (1024 + part) * 2 ** (power - 25) : part * 2 ** -24;
  return Number(((bits >> 15 ? -1 : 1) * size * 2 ** exponent).toPrecision(3));
}
