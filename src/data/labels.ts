/**
 * Class names of which each is there once. Where several classes have one name (ImageNet has two
 * cranes) each gets its number, from 0: `crane (134)`, `crane (517)`.
 */
export function distinctLabels(given: readonly string[]): readonly string[] {
  // One spelling, that of data sets: é may be one character or two.
  const labels = given.map((label) => label.normalize('NFC'));
  const counts = new Map<string, number>();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  if (counts.size === labels.length) return labels;
  const taken = new Set(labels);
  return labels.map((label, i) => {
    if (counts.get(label) === 1) return label;
    let name = `${label} (${i})`;
    while (taken.has(name)) name += "'";
    taken.add(name);
    return name;
  });
}
