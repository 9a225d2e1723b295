// Units of raw text, as the tokenizer of a tagger of raw text cuts it.

const characters = new Intl.Segmenter("en", { granularity: "grapheme" });

/** Return start and end of each unit; `pattern` has groups x0, x1, ... where whatever a reader takes for one character is meant. */
export function units(text, { pattern, specials }) {
  // tokens that mean something to the model are taken as they stand
  const special = specials.map((token) => token.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join("|");
  const unit = new RegExp(`${special}|${pattern}`, "gu");
  const found = [];
  for (let match; (match = unit.exec(text)); ) {
    const start = match.index;
    const isCharacter = Object.values(match.groups ?? {}).some((group) => group !== undefined);
    if (isCharacter) {
      const [{ segment }] = characters.segment(text.slice(start, start + 200));
      unit.lastIndex = start + segment.length;
    }
    found.push({ start, end: unit.lastIndex });
  }
  return found;
}
