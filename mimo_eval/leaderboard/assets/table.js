// The ranking: a real table with sortable column heads.
let view = null;
const rowsMade = new Map(); // entry → row, as long as nothing but filters and order change

function breakdown(s) {
  const group = view.group, settings = group.settings;
  const single = s.setting === ALL ? null : settings[s.setting];
  const column = (key, label, title, measure, value, spoken) => ({key: `c:${key}`, label, title, measure, value, shade: true, spoken});
  const columns = [];
  if (s.columns === 'settings') {
    settings.forEach((x, k) => {
      if (k !== s.setting && x.scores[s.measure]) {
        columns.push(column(settingLabel(group, k), settingLabel(group, k), `${view.measure.name}, ${x.mix}`, view.measure, (i) => score(x, s.measure, i, s.languages)));
      }
    });
  } else if (s.columns === 'languages') {
    const codes = s.languages.length ? s.languages : groupLanguages(group);
    const chosen = single ? [single] : settings.filter((x) => x.scores[s.measure]);
    for (const code of codes) {
      columns.push(column(code, code, languageName(code), view.measure, (i) => {
        const parts = chosen.filter((x) => x.languages.includes(code)).map((x) => languageScore(x, s.measure, i, x.languages.indexOf(code)));
        return parts.length && parts.every(known) ? mean(parts) : null;
      }, languageName(code)));
    }
  }
  const extra = s.columns === 'measures' && !s.shown.length ? group.measures.map((_, m) => m) : s.shown;
  const from = single ? [single] : settings;
  for (const m of extra.slice().sort((a, b) => a - b)) {
    if (m === s.measure || !from.some((x) => x.scores[m])) continue;
    const measure = group.measures[m];
    columns.push({...column(measure.name, measure.name, measure.help || measure.name, measure, (i) => {
      const parts = from.filter((x) => x.scores[m]).map((x) => score(x, m, i, s.languages));
      return parts.length && parts.every(known) ? mean(parts) : null;
    }), shade: measure.better !== 'none'});
  }
  if (columns.length) columns[0].first = true;
  return columns;
}

function columnsOf(s) {
  const entries = view.group.entries, some = (key) => entries.some((e) => known(e[key]) && e[key] !== '');
  const fact = (key, label, title, text, numeric = true) => some(key) && {key, label, title, ascending: numeric && key !== 'rate', value: (i) => entries[i][key], cell: (i) => text(entries[i][key]), numeric};
  const facts = [
    fact('kind', 'Type', 'Kind of model', (v) => v, false),
    fact('parameters', 'Params', 'Weights of the network', amount),
    fact('dimension', 'Width', 'Numbers in a vector', (v) => (known(v) ? String(v) : '–')),
    fact('rate', 'Texts/s', 'Texts encoded per second, on the device that the result names', speed),
    some('licence') && {key: 'licence', label: 'Licence', title: 'Licence of the model', value: (i) => entries[i].licence, cell: (i) => bdi(entries[i].licence || '–'), className: 'text'},
  ].filter(Boolean);
  if (facts.length) facts[0].first = true;
  const tested = view.tested, label = s.setting === ALL ? `mean ${view.measure.name}` : view.measure.name;
  return [
    {key: 'score', label, title: view.measure.help || view.measure.name, value: (i) => view.values[i], measure: view.measure, numeric: true, className: 'score'},
    tested && {key: 'interval', label: `${percent()} interval`, title: 'Clustered bootstrap: questions are drawn with all their translations', unsorted: true, cell: intervalCell},
    tested && {key: 'range', label: 'Rank range', title: 'The ranks that the tests leave open: paired t-test, Holm over all pairs', value: (i) => (view.range(i) ? view.range(i)[0] + view.range(i)[1] / 1e3 : null), cell: rangeText, numeric: true, ascending: true},
    view.sign !== 0 && {key: 'borda', label: 'Borda', title: 'Share of the other models beaten, over query languages', value: (i) => view.borda[i], measure: {places: 5}, numeric: true, text: (v) => (known(v) ? v.toFixed(2) : '–')},
    ...breakdown(s),
    ...facts,
  ].filter(Boolean);
}

function rangeText(i) {
  const range = view.range(i);
  return !range ? '–' : range[0] === range[1] ? String(range[0]) : `${range[0]}–${range[1]}`;
}

function intervalCell(i) {
  const ends = view.interval(i), value = view.values[i];
  if (!known(value)) return '–';
  return [whisker(value, ends, view.low, view.high), ends && hidden(`${shown(ends[0], view.measure)} to ${shown(ends[1], view.measure)}`)];
}

function limits() {
  const every = view.values.flatMap((v, i) => (known(v) ? [v, ...(view.interval(i) || [])] : []));
  view.low = Math.min(...every); view.high = Math.max(...every);
}

function orderOf(columns, s) {
  const chosen = columns.find((c) => c.key === s.sort && !c.unsorted);
  const entries = view.group.entries;
  const rows = entries.map((_, i) => i);
  const tie = (a, b) => {
    const gap = (view.places[a] ?? Infinity) - (view.places[b] ?? Infinity);
    return (Number.isNaN(gap) ? 0 : gap) || a - b;
  };
  if (s.sort === 'name') return rows.sort((a, b) => (s.descending ? -1 : 1) * entries[a].name.localeCompare(entries[b].name) || tie(a, b));
  if (!chosen) {
    if (view.sign === 0) return rows.sort((a, b) => (view.values[b] ?? -Infinity) - (view.values[a] ?? -Infinity) || a - b);
    return rows.sort((a, b) => (s.descending && known(view.places[a]) && known(view.places[b]) ? tie(b, a) : tie(a, b)));
  }
  const value = rows.map((i) => chosen.value(i)), way = s.descending ? -1 : 1;
  return rows.sort((a, b) => {
    const missing = !known(value[a]) - !known(value[b]);
    if (missing || !known(value[a])) return missing || tie(a, b);
    const gap = typeof value[a] === 'string' ? value[a].localeCompare(value[b]) : value[a] - value[b];
    return way * gap || tie(a, b);
  });
}

// Where a column is best first: descending, unless lower is better or it is text.
function bestFirst(column) {
  if (column.ascending || column.className === 'text' || column.key === 'kind') return false;
  return !(column.measure && column.measure.better === 'lower');
}

function headCell(column, s, attributes) {
  const sorted = s.sort === column.key;
  const label = [column.label, column.spoken && column.spoken !== column.label && hidden(` ${column.spoken}`)];
  const turn = () => change(sorted ? {descending: !s.descending} : {sort: column.key, descending: bestFirst(column)}, `sort:${column.key}`);
  return el('th', {scope: 'col', title: column.title, 'aria-sort': sorted && !column.unsorted && (s.descending ? 'descending' : 'ascending'), ...attributes},
    column.unsorted ? el('span', {class: 'soft'}, label) : el('button', {type: 'button', class: sorted ? 'sorted' : null, 'data-focus': `sort:${column.key}`, onclick: turn}, label));
}

function cellClass(column) {
  return [column.numeric || column.shade ? 'number' : '', column.className || '', column.first ? 'first-column' : ''].filter(Boolean).join(' ');
}

function renderTable(s) {
  limits();
  const columns = columnsOf(s), group = view.group;
  const rows = orderOf(columns, s).filter((i) => passes(group.entries[i], s));
  for (const column of columns) {
    if (!column.shade) continue;
    const values = group.entries.map((_, i) => column.value(i)).filter(known);
    column.low = Math.min(...values); column.high = Math.max(...values);
    column.turned = column.measure.better === 'lower';
  }
  const name = {key: 'name', label: 'Model', title: 'Sort by name'}, rank = {key: 'rank', label: '#', title: 'Sort by rank'};
  const head = el('tr', {}, el('th', {scope: 'col', class: 'name', 'aria-sort': s.sort === 'rank' || s.sort === 'name' ? (s.descending ? 'descending' : 'ascending') : null},
    el('div', {}, [rank, name].map((column) => el('button', {type: 'button', title: column.title, class: s.sort === column.key ? 'sorted' : null, 'data-focus': `sort:${column.key}`,
      'aria-label': column.title, onclick: () => change({sort: column.key, descending: s.sort === column.key && !s.descending}, `sort:${column.key}`)}, column.label)))),
  columns.map((column) => headCell(column, s, {class: cellClass(column)})));
  $('board').tHead.replaceChildren(head);
  const body = rows.map((i) => {
    if (!rowsMade.has(i)) rowsMade.set(i, row(i, columns, s));
    return rowsMade.get(i);
  });
  if (!body.length) body.push(el('tr', {}, el('td', {class: 'empty', colspan: columns.length + 1}, 'No model passes the filters.')));
  $('board').tBodies[0].replaceChildren(...body);
  return rows.length;
}

// A name that breaks at its marks before it breaks inside a word.
const breakable = (name) => el('bdi', {}, name.split(/(?<=[(,=/])/).flatMap((part, n) => (n ? [el('wbr'), part] : [part])));

function row(i, columns, s) {
  const entry = view.group.entries[i], picked = s.pick.includes(i);
  const tie = (on) => () => markTied(i, on);
  return el('tr', {'data-entry': i, class: picked ? 'picked-row' : null, onmouseenter: tie(true), onmouseleave: tie(false), onfocusin: tie(true), onfocusout: tie(false)},
    el('th', {scope: 'row', class: 'name'}, el('div', {},
      el('input', {type: 'checkbox', checked: picked, 'aria-label': `Pick ${entry.name} to compare`, 'data-focus': `pick:${i}`, onchange: () => pick(i)}),
      el('span', {class: 'place'}, known(view.places[i]) ? String(view.places[i]) : '–'),
      el('button', {type: 'button', 'data-focus': `open:${i}`, title: 'Show this model', onclick: () => change({open: i})}, breakable(entry.name)),
      entry.marks.map((mark) => el('span', {class: 'badge', title: mark === 'prompts' ? entry.prompts.map(([role, text]) => `${role}: ${text}`).join('\n') : mark}, mark === 'prompts' ? 'prompt' : 'twin', hidden(mark === 'prompts' ? ' used' : ` ${mark}`))))),
    columns.map((column) => {
      if (column.cell) return el('td', {class: cellClass(column)}, column.cell(i));
      const value = column.value(i);
      let look = cellClass(column);
      if (column.shade && known(value)) {
        const place = step(value, column.low, column.high, 7);
        look += ` w${column.turned ? 6 - place : place}`;
        if (value === (column.turned ? column.low : column.high)) look += ' best';
      }
      return el('td', {class: look}, column.text ? column.text(value) : shown(value, column.measure));
    }));
}

// Rows that no test tells apart from this one.
function markTied(i, on) {
  for (const other of $('board').tBodies[0].rows) {
    const j = Number(other.dataset.entry);
    other.classList.toggle('tied', on && view.tested && i !== j && known(view.values[i]) && known(view.values[j]) && !view.differ(i, j));
  }
}
