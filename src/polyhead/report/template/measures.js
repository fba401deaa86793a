// What the map can show: for each measure its value of a head, its colours, and its words.

// two significant digits, never in powers of ten
function shown(value) {
  if (value === null || value === undefined) return "–";
  const short = Number(value.toPrecision(2)), size = Math.abs(short);
  if (size === 0 || size >= 0.000001) return short.toString();
  return short.toFixed(Math.min(20, 1 - Math.floor(Math.log10(size))));
}

// the power of ten by which small scores are multiplied, so that they fit the map's cells
function powerOf(matrix) {
  const most = Math.max(0, ...matrix.flat().filter((value) => value !== null).map(Math.abs));
  return most === 0 || most >= 0.1 ? 0 : Math.ceil(-Math.log10(most));
}

// text that fits a cell; very small scores become <0.01
function fitting(value) {
  return value !== null && value !== 0 && Math.abs(value) < 0.01 ? `${value < 0 ? "−" : ""}<0.01` : shown(value);
}

function powerText(power) {
  return power ? ` · 10⁻${[...String(power)].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]).join("")}` : "";
}

function percent(value) {
  return value === null ? "–" : String(value);
}

function signed(value) {
  if (value === null || value === undefined) return "–";
  return (value > 0 ? "+" : value < 0 ? "−" : "") + Math.abs(value).toFixed(2);
}

const PLACE_NAMES = { previous: "the previous word", next: "the next word", same: "the word itself", separators: "special tokens" };
const WAYS = { to_head: "its head", to_dependent: "its dependent" };

function seedOf(run, state) {
  return run.seeds.find((own) => String(own.seed) === state.seed) || run.seeds[0];
}

function languageOf(run, state) {
  return run.languages.find((own) => own.name === state.language) || run.languages[0];
}

// A measure: key, label, whether it is of a seed or of a language, matrix(state), words(state), text(value), unit, diverging, scaled.
function measuresOf(run) {
  const found = [
    {
      key: "place", label: "place in the ranking", of: "seed", text: (value) => (value === null ? "–" : String(value)),
      matrix: (state) => seedOf(run, state).places,
      words: (state) => `Place in the ranking of seed ${seedOf(run, state).seed}: 1 has the lowest score and is pruned first.`,
    },
    {
      key: "score", label: "score in the ranking", of: "seed", text: shown, scaled: true,
      matrix: (state) => seedOf(run, state).scores,
      words: (state) => `Score (${run.method}) on the source’s dev text, seed ${seedOf(run, state).seed}.`,
    },
  ];
  if (!run.languages.length) return found;
  for (const method of run.methods) {
    found.push({
      key: method === run.methods[0] ? "language-score" : `language-score:${method}`, of: "language", text: shown, scaled: true,
      label: `score in a language${run.methods.length > 1 ? `, ${method}` : ""}`,
      matrix: (state) => languageOf(run, state).scores[method] || null,
      words: (state) => {
        const own = languageOf(run, state);
        return own.scores[method] ? `Score (${method}) on ${sampleOf(run, own)}.` : `Not measured by ${method} on ${own.name}.`;
      },
    });
  }
  found.push(
    {
      key: "effect", label: "effect of ablating it", of: "language", text: shown, diverging: true,
      matrix: (state) => languageOf(run, state).difference,
      words: (state) => {
        const own = languageOf(run, state);
        return `Points of ${own.metric} (${own.unpruned.toFixed(1)} with all heads) with that head ablated minus with all heads, on ${sampleOf(run, own)}. Below 0 the head helps. Measured only for the ${run.n_measured} heads with the largest estimates.`;
      },
    },
    {
      key: "estimate", label: "estimated rise of the loss without it", of: "language", text: shown, diverging: true, scaled: true,
      matrix: (state) => languageOf(run, state).estimate,
      words: (state) => `Estimated from gradients, for every head: how much the mean loss of a sentence rises with that head off, on ${sampleOf(run, languageOf(run, state))}. Above 0 the head helps.`,
    },
  );
  for (const [kind, name] of Object.entries(PLACE_NAMES)) {
    if (run.languages.some((own) => own.shares[kind])) {
      found.push(shareMeasure(run, kind, `attention to ${name}`, (own) => own.shares[kind], `attention to ${name}`));
    }
  }
  for (const relation of relationsOf(run)) {
    for (const [way, name] of Object.entries(WAYS)) {
      const pick = (own) => (own.relations.find((item) => item.relation === relation) || {})[way];
      const words = way === "to_head" ? `attention of a word to its head, where it is its ${relation}` : `attention of a word to its ${relation}`;
      found.push(shareMeasure(run, `${relation}:${way}`, `${relation}: ${words.split(",")[0]}`, pick, words));
    }
  }
  return found;
}

function relationsOf(run) {
  const counts = new Map();
  for (const own of run.languages) for (const item of own.relations) counts.set(item.relation, (counts.get(item.relation) || 0) + item.n);
  return [...counts].sort((a, b) => b[1] - a[1]).map((item) => item[0]);
}

function shareMeasure(run, key, label, pick, words) {
  return {
    key, label, of: "language", text: percent, limits: [0, 100], unit: " %",
    matrix: (state) => (pick(languageOf(run, state)) || {}).values || null,
    words: (state) => {
      const own = languageOf(run, state), share = pick(own);
      if (!share) return `Not measured on ${own.name}: no trees, or fewer than 20 such words in the sample.`;
      return `Share of ${words}, in per cent, mean over words of ${sampleOf(run, own)}; uniform attention would give ${percent(share.even)}.`;
    },
  };
}

function sampleOf(run, own) {
  return `${own.name} (${own.n_sentences} ${own.split} sentences, ${own.n_words.toLocaleString("en")} words)`;
}

// Colours of a share 0..1 between pale and dark, and of −1..1 around white; ink that can be read on them.
const PALE = [236, 242, 248], DARK = [16, 62, 110], COLD = [23, 92, 160], WARM = [178, 72, 20], WHITE = [247, 247, 247];

function between(one, other, share) {
  return one.map((part, i) => Math.round(part + (other[i] - part) * share));
}

function colourOf(measure, value, limits) {
  if (value === null) return { background: "transparent", color: "inherit" };
  let rgb;
  if (measure.diverging) {
    const share = limits[1] === 0 ? 0 : Math.max(-1, Math.min(1, value / limits[1]));
    rgb = between(WHITE, share < 0 ? COLD : WARM, Math.abs(share));
  } else {
    rgb = between(PALE, DARK, limits[1] === limits[0] ? 0.5 : (value - limits[0]) / (limits[1] - limits[0]));
  }
  return { background: `rgb(${rgb.join(",")})`, color: luminance(rgb) > 0.179 ? "#000000" : "#ffffff" };
}

// As WCAG defines it; where it is 0.179, black and white can be read equally well.
function luminance(rgb) {
  const [r, g, b] = rgb.map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function limitsOf(measure, matrix) {
  if (measure.limits) return measure.limits;
  const values = matrix.flat().filter((value) => value !== null);
  if (!values.length) return [0, 1];
  if (measure.diverging) {
    const most = Math.max(...values.map(Math.abs));
    return [-most, most];
  }
  return [Math.min(...values), Math.max(...values)];
}
