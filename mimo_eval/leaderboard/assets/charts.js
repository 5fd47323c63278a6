// Small pictures: whiskers, heat maps, bars of differences, the scatter of alignment and uniformity.
const step = (value, low, high, steps) => (high > low ? Math.max(0, Math.min(steps - 1, Math.floor(((value - low) / (high - low)) * steps))) : steps >> 1);

function whisker(value, ends, low, high) {
  const width = 110, at = (v) => 4 + ((v - low) / (high - low || 1)) * (width - 8);
  return svg('svg', {class: 'whisker', width, height: 14, 'aria-hidden': 'true'},
    ends && svg('line', {x1: at(ends[0]), x2: at(ends[1]), y1: 7, y2: 7}),
    svg('circle', {cx: at(value), cy: 7, r: 3}));
}

// Rows are query languages, columns document languages; `text` writes a cell, `look` gives its class.
function languageTable(label, rows, columns, cell, text, look) {
  return el('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': label},
    el('table', {class: 'heatmap'}, el('caption', {class: 'hidden'}, label),
      el('thead', {}, el('tr', {}, el('td', {}), columns.map((c) => el('th', {scope: 'col', title: languageName(c)}, c)))),
      el('tbody', {}, rows.map((r, i) => el('tr', {},
        el('th', {scope: 'row'}, languageName(r) === r ? r : `${r} ${languageName(r)}`),
        columns.map((c, j) => {
          const value = cell(i, j);
          return known(value)
            ? el('td', {class: look(value), title: `${languageName(r)} → ${languageName(c)}: ${text(value)}`}, text(value))
            : el('td', {class: 'none'}, '–');
        }))))));
}

function heatMap(group, table, entry) {
  const cells = table.cells[entry], measure = group.measures[table.measure], width = table.documents.length;
  const every = table.cells.flat().filter(known), low = Math.min(...every), high = Math.max(...every);
  if (!cells.some(known)) return el('p', {class: 'soft'}, 'No scores for pairs of languages.');
  const short = (value) => (high <= 1 ? value.toFixed(2).replace(/^0/, '') : shown(value, measure));
  const good = (value) => `k${measure.better === 'lower' ? 9 - step(value, low, high, 10) : step(value, low, high, 10)}`;
  return languageTable(`${measure.name} by query language (rows) and document language (columns)`,
    table.queries, table.documents, (i, j) => cells[i * width + j], short, good);
}

function differenceMap(group, table, first, second) {
  const measure = group.measures[table.measure], sign = signOf(measure) || 1, width = table.documents.length;
  const gap = (i, j) => {
    const a = table.cells[first][i * width + j], b = table.cells[second][i * width + j];
    return known(a) && known(b) ? b - a : null;
  };
  const text = (v) => signed(v, measure).replace(/([+−])0\./, '$1.');
  const look = (v) => (Math.abs(v) < 0.0005 ? '' : sign * v > 0 ? 'up' : 'down');
  return languageTable(`Differences of ${measure.name} by query language (rows) and document language (columns)`,
    table.queries, table.documents, gap, text, look);
}

function differenceBar(value, largest, sign) {
  const width = 150, middle = width / 2, length = (Math.abs(value) / (largest || 1)) * (middle - 4);
  return svg('svg', {class: 'diverge', width, height: 14, 'aria-hidden': 'true'},
    svg('rect', {class: (sign || 1) * value >= 0 ? 'up' : 'down', x: value >= 0 ? middle : middle - length, y: 3, width: length, height: 8, rx: 1.5}),
    svg('line', {class: 'zero', x1: middle, x2: middle, y1: 0, y2: 14}));
}

function ticks(low, high) {
  const rough = (high - low || 1) / 5, power = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 5, 10].map((m) => m * power).find((v) => v >= rough);
  const list = [];
  for (let v = Math.ceil(low / size) * size; v <= high + size * 1e-9; v += size) list.push(Number(v.toPrecision(6)));
  return list;
}

function scatter(points, open) {
  const width = Math.max(320, Math.min(720, $('geometry-body').clientWidth)), height = 400, edge = {left: 56, right: 24, top: 30, bottom: 46};
  const range = (key) => {
    const values = points.map((p) => p[key]), low = Math.min(...values), high = Math.max(...values), room = (high - low) * 0.12 || 0.1;
    return [low - room, high + room];
  };
  const [left, right] = range('alignment'), [bottom, top] = range('uniformity');
  const x = (v) => edge.left + ((v - left) / (right - left)) * (width - edge.left - edge.right);
  const y = (v) => height - edge.bottom - ((v - bottom) / (top - bottom)) * (height - edge.top - edge.bottom);
  const taken = points.map((p) => ({x: x(p.alignment) - 7, y: y(p.uniformity) + 5, room: 14}));
  const labelAt = (p) => { // beside, above or below the point, where the label meets no other and no point; else none
    const room = Math.min(p.name.length, 34) * 6.4, middle = x(p.alignment), own = taken[points.indexOf(p)];
    for (const [end, shift] of [[false, 4], [true, 4], [false, -9], [true, -9], [false, 17], [true, 17]]) {
      const box = {x: end ? middle - room - 10 : middle + 9, y: y(p.uniformity) + shift, end, room};
      const free = taken.every((o) => o === own || Math.abs(o.y - box.y) > 12 || box.x > o.x + o.room || o.x > box.x + box.room);
      if (free && box.x > edge.left && box.x + room < width && box.y > edge.top) { taken.push(box); return box; }
    }
    return null;
  };
  return svg('svg', {class: 'plot', viewBox: `0 0 ${width} ${height}`, role: 'group', 'aria-label': 'Alignment and uniformity of each model; the table below has the same numbers'},
    ticks(left, right).map((v) => [svg('line', {class: 'grid', x1: x(v), x2: x(v), y1: edge.top, y2: height - edge.bottom}),
      svg('text', {x: x(v), y: height - edge.bottom + 16, 'text-anchor': 'middle'}, String(v))]),
    ticks(bottom, top).map((v) => [svg('line', {class: 'grid', x1: edge.left, x2: width - edge.right, y1: y(v), y2: y(v)}),
      svg('text', {x: edge.left - 8, y: y(v) + 4, 'text-anchor': 'end'}, String(v).replace('-', '−'))]),
    svg('line', {class: 'axis', x1: edge.left, x2: width - edge.right, y1: height - edge.bottom, y2: height - edge.bottom}),
    svg('line', {class: 'axis', x1: edge.left, x2: edge.left, y1: edge.top, y2: height - edge.bottom}),
    svg('text', {x: width - edge.right, y: height - 10, 'text-anchor': 'end'}, '← alignment: translations closer'),
    svg('text', {x: 4, y: 14}, '↓ uniformity: space better filled'),
    points.map((p) => {
      const box = labelAt(p), name = p.name.length > 34 ? `${p.name.slice(0, 33)}…` : p.name;
      return svg('g', {role: 'button', tabindex: 0, 'aria-label': `${p.name}: alignment ${p.alignment.toFixed(3)}, uniformity ${p.uniformity.toFixed(3)}`,
        onclick: () => open(p.entry), onkeydown: (event) => { if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); open(p.entry); } }},
      svg('title', {}, p.name), svg('circle', {class: 'point', cx: x(p.alignment), cy: y(p.uniformity), r: 6}),
      box && svg('text', {class: 'label', x: box.end ? x(p.alignment) - 10 : box.x, y: box.y, 'text-anchor': box.end ? 'end' : 'start'}, name));
    }));
}
