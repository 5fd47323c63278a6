// One dialog: a model by itself, or two side by side.
const fact = (name, value) => (value === null || value === '' ? [] : [el('dt', {}, name), el('dd', {}, value)]);

function sheetHead(title, close) {
  return el('div', {class: 'head'}, el('h2', {id: 'dialog-title'}, title), el('button', {type: 'button', class: 'quiet', 'data-focus': 'close', onclick: close}, 'Close'));
}

function modelSheet(i) {
  const group = view.group, entry = group.entries[i];
  const geometry = Object.entries(entry.geometry).map(([collection, values]) => [el('h3', {}, `Geometry, ${collection}`),
    el('dl', {class: 'facts'}, Object.entries(values).map(([name, value]) => fact(name.replace(/_/g, ' '), value.toFixed(3).replace('-', '−'))))]);
  return [
    sheetHead(bdi(entry.name), closeDialog),
    el('dl', {class: 'facts'},
      fact('Type', bdi(entry.kind)), fact('Licence', entry.licence && bdi(entry.licence)), fact('Address', entry.link && link(entry.link, entry.link)),
      fact('Parameters', known(entry.parameters) ? entry.parameters.toLocaleString('en') : null), fact('Vector width', known(entry.dimension) ? String(entry.dimension) : null),
      fact('Speed', known(entry.rate) ? `${speed(entry.rate)} texts/s${entry.device ? ` on ${entry.device}` : ''}` : null),
      entry.prompts.map(([role, text]) => fact(`Prompt, ${role}`, bdi(text))), entry.marks.filter((m) => m !== 'prompts').map((m) => fact('Note', m)),
      fact('Revision', entry.revision), fact('Evaluated', entry.key && `${entry.created}, mimo-eval ${entry.version || 'of unknown version'}, result ${entry.key}`)),
    el('h3', {}, `Settings, ${view.measure.name}`), settingsTable(i),
    tiedLine(i),
    group.pairs.map((table) => [el('h3', {}, `${group.measures[table.measure].name} by query and document language${group.pairs.length > 1 ? `, ${table.collection}` : ''}`),
      el('p', {class: 'soft small'}, 'Rows: language of the query. Columns: language of the corpus. The scale is that of all models.'), heatMap(group, table, i)]),
    geometry,
  ];
}

function settingsTable(i) {
  const group = view.group, rows = group.settings.map((setting, k) => [k, computeView({...state, setting: k, languages: [], rank: 'mean'})]).filter(([, v]) => known(v.values[i]));
  return el('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Scores by setting'}, el('table', {class: 'plain'},
    el('thead', {}, el('tr', {}, ['Setting', 'Score', `${percent()} interval`, 'Rank', 'Rank range', 'Borda'].map((h, n) => el('th', {scope: 'col', class: n ? 'number' : null}, h)))),
    el('tbody', {}, rows.map(([k, v]) => {
      const ends = v.interval(i), range = v.range(i);
      const cells = [shown(v.values[i], v.measure), ends ? `${shown(ends[0], v.measure)}–${shown(ends[1], v.measure)}` : '–', known(v.places[i]) ? `${v.places[i]} of ${v.values.filter(known).length}` : '–',
        range ? `${range[0]}–${range[1]}` : '–', known(v.borda[i]) ? v.borda[i].toFixed(2) : '–'];
      return el('tr', {}, el('th', {scope: 'row'}, settingLabel(group, k)), cells.map((c) => el('td', {class: 'number'}, c)));
    }))));
}

function tiedLine(i) {
  if (!view.tested || !known(view.values[i])) return null;
  const tied = view.group.entries.map((_, j) => j).filter((j) => j !== i && known(view.values[j]) && !view.differ(i, j));
  const where = state.setting === ALL ? '' : ` in ${settingLabel(view.group, state.setting)}`;
  return el('p', {}, tied.length ? `Not distinguishable${where} from: ` : `Distinguishable${where} from every other model.`,
    tied.map((j, n) => [n ? ', ' : '', bdi(view.group.entries[j].name)]));
}

function versusSheet() {
  const group = view.group, [a, b] = state.pick, sign = view.sign;
  const chooser = (side) => el('label', {class: 'field'}, el('span', {}, side ? 'Second' : 'First'),
    el('select', {'data-focus': `side:${side}`, onchange: (event) => { const pick = [...state.pick]; pick[side] = Number(event.target.value); if (pick[0] !== pick[1]) change({pick}, `side:${side}`); else render(`side:${side}`); }},
      group.entries.map((entry, i) => el('option', {value: i, selected: i === state.pick[side]}, entry.name))));
  const settings = group.settings.map((setting, k) => {
    const v = computeView({...state, setting: k, languages: [], rank: 'mean'});
    return [settingLabel(group, k), v.values[a], v.values[b], v.differ && known(v.values[a]) && known(v.values[b]) ? v.differ(a, b) : null];
  });
  const one = state.setting === ALL ? null : group.settings[state.setting];
  const languages = one ? one.languages.map((code, l) => {
    const packed = one.distinct[state.measure], differ = packed && sign ? distinctReader(packed[1 + l], group.entries.length)(a, b) : null;
    return [languageName(code) === code ? code : `${code} ${languageName(code)}`, languageScore(one, state.measure, a, l), languageScore(one, state.measure, b, l), differ];
  }) : [];
  return [
    sheetHead('Compare two models', closeDialog),
    el('div', {class: 'versus'}, chooser(0), chooser(1)),
    el('p', {class: 'soft small'}, `${view.measure.name}; difference is second minus first. “Significant” says a paired test on questions, Holm over all pairs of that ranking.`),
    versusTable('By setting', 'Setting', settings),
    one && one.byLanguage[state.measure] && [versusTable(`By query language, ${settingLabel(group, state.setting)}`, 'Language', languages)],
    group.pairs.map((table) => [el('h3', {}, `Difference of ${group.measures[table.measure].name} by query and document language${group.pairs.length > 1 ? `, ${table.collection}` : ''}`), differenceMap(group, table, a, b)]),
  ];
}

function versusTable(title, first, rows) {
  const usable = rows.filter(([, x, y]) => known(x) && known(y)), largest = Math.max(...usable.map(([, x, y]) => Math.abs(y - x)), 0);
  return [el('h3', {}, title), el('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': title}, el('table', {class: 'plain'},
    el('thead', {}, el('tr', {}, [first, 'First', 'Second', 'Difference', 'Significant', ''].map((h, n) => (h ? el('th', {scope: 'col', class: n && n < 4 ? 'number' : null}, h) : el('td', {}))))),
    el('tbody', {}, usable.map(([name, x, y, differ]) => el('tr', {}, el('th', {scope: 'row'}, name),
      el('td', {class: 'number'}, shown(x, view.measure)), el('td', {class: 'number'}, shown(y, view.measure)),
      el('td', {class: `number ${view.sign && differ ? (view.sign * (y - x) > 0 ? 'up' : 'down') : ''}`}, signed(y - x, view.measure)),
      el('td', {}, differ === null ? 'not tested' : differ ? 'yes' : 'no'), el('td', {}, differenceBar(y - x, largest, view.sign)))))))];
}

function renderDialog() {
  const dialog = $('dialog'), wanted = state.versus ? 'versus' : state.open !== null ? 'model' : null;
  if (!wanted) { if (dialog.open) dialog.close(); return; }
  const at = dialog.open ? dialog.scrollTop : 0;
  $('sheet').replaceChildren(...[(wanted === 'versus' ? versusSheet() : modelSheet(state.open))].flat(Infinity).filter(Boolean));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = at;
}
const closeDialog = () => change({open: null, versus: false});
