// Elements, numbers and the data. Every text reaches the page through textContent; nothing is ever parsed as HTML.
const SVG = 'http://www.w3.org/2000/svg';
const $ = (id) => document.getElementById(id);

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'class') node.setAttribute('class', value);
    else if (['checked', 'selected', 'disabled', 'value', 'hidden'].includes(name)) node[name] = value;
    else node.setAttribute(name, value === true ? '' : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}
const el = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => build(document.createElementNS(SVG, tag), attributes, children);
const bdi = (text, attributes) => el('bdi', attributes, String(text));
const hidden = (text) => el('span', {class: 'hidden'}, text);

const link = (address, text) =>
  /^https?:\/\/[^\s]+$/i.test(address) ? el('a', {href: address, rel: 'noopener noreferrer nofollow', target: '_blank'}, text) : text;

const data = JSON.parse($('data').textContent);
const known = (value) => value !== null && value !== undefined && !Number.isNaN(value);
const languageName = (code) => data.names[code] || code;

function shown(value, measure) {
  if (!known(value)) return '–';
  const places = Math.max(0, measure.places - 2);
  return value.toFixed(places);
}
function signed(value, measure) {
  const text = shown(Math.abs(value), measure);
  return Number(text) === 0 ? '0' : (value > 0 ? '+' : '−') + text;
}
function amount(value) {
  if (!known(value)) return '–';
  for (const [size, unit] of [[1e9, 'B'], [1e6, 'M'], [1e4, 'k']]) {
    if (value >= size) return Number((value / (unit === 'k' ? 1e3 : size)).toPrecision(3)) + unit;
  }
  return String(value);
}
const speed = (value) => (known(value) ? (value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(2)) : '–');
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const unique = (values) => [...new Set(values)];
const plural = (count, word) => `${count.toLocaleString('en')} ${word}${count === 1 ? '' : 's'}`;
const percent = () => `${Number((100 * data.level).toPrecision(4))} %`;

// Whole numbers become values once: v / 10^places.
for (const group of data.groups) {
  group.pairs.forEach((table) => {
    const scale = 10 ** group.measures[table.measure].places;
    table.cells = table.cells.map((row) => row.map((v) => (v === null ? null : v / scale)));
  });
  for (const setting of group.settings) {
    for (const kind of ['scores', 'byLanguage', 'intervals']) {
      for (const [number, list] of Object.entries(setting[kind])) {
        const scale = 10 ** group.measures[number].places;
        for (let i = 0; i < list.length; i++) if (list[i] !== null) list[i] /= scale;
      }
    }
  }
}

// Pairs that a test tells apart: the upper triangle, row by row, 8 pairs to a byte.
function distinctReader(text, count) {
  const bytes = atob(text);
  return (i, j) => {
    if (i === j) return false;
    const [a, b] = i < j ? [i, j] : [j, i];
    const place = a * count - (a * (a + 1)) / 2 + (b - a - 1);
    return ((bytes.charCodeAt(place >> 3) >> (place & 7)) & 1) === 1;
  };
}
