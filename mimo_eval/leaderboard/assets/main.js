// Controls, and one way for everything to change: change(part) → state → URL → page.
function change(part, focus) {
  if ('group' in part && part.group !== state.group) part = {...fresh(), group: part.group, setting: 0, measure: mainOf(data.groups[part.group], 0)};
  state = {...state, ...part};
  const fragment = writeFragment();
  try { history.replaceState(null, '', fragment ? `#${fragment}` : location.pathname + location.search); } catch { location.hash = fragment; }
  render(focus);
}

function pick(i) {
  const chosen = state.pick.includes(i) ? state.pick.filter((j) => j !== i) : [...state.pick, i].slice(-2);
  change({pick: chosen}, `pick:${i}`);
}

const options = (select, list, chosen) => select.replaceChildren(...list.map(([value, text]) => el('option', {value, selected: value === chosen}, text)));

function segments(id, list, key) {
  const holder = el('div', {}, list.map(([value, text]) => el('label', {}, el('input', {type: 'radio', name: id, value, onchange: () => change({[key]: value}, `${id}:${value}`), 'data-focus': `${id}:${value}`}), text)));
  $(id).append(holder);
}

function chips(id, list, key, title) {
  const box = $(id), old = box.querySelector('div');
  if (old) old.remove();
  box.hidden = list.length < 2;
  box.append(el('div', {}, list.map(([value, text, spoken]) => el('label', {title: spoken || null},
    el('input', {type: 'checkbox', checked: state[key].includes(value), 'data-focus': `${id}:${value}`, 'aria-label': spoken ? `${text} ${spoken}` : null,
      onchange: (event) => change({[key]: event.target.checked ? [...state[key], value] : state[key].filter((v) => v !== value)}, `${id}:${value}`)}), bdi(text)))));
}

function renderControls() {
  const group = view.group, entries = group.entries;
  $('group-field').hidden = data.groups.length < 2;
  options($('group'), data.groups.map((g, k) => [k, `${k + 1}. ${g.benchmark} (${plural(g.entries.length, 'model')})`]), state.group);
  options($('setting'), [...group.settings.map((x, k) => [k, settingLabel(group, k) + (x.mix.startsWith(x.setting) ? '' : ` (${x.setting})`)]), ...(group.settings.length > 1 ? [[ALL, 'all, averaged']] : [])], state.setting);
  options($('measure'), group.measures.map((m, k) => [k, m.name]).filter(([k]) => (state.setting === ALL ? group.settings : [group.settings[state.setting]]).some((x) => x.scores[k])), state.measure);
  for (const [id, value] of [['rank', state.rank], ['columns', state.columns]]) $(id).querySelectorAll('input').forEach((input) => { input.checked = input.value === value; });
  if ($('find').value !== state.find) $('find').value = state.find;
  chips('languages', groupLanguages(group).map((code) => [code, code, languageName(code) === code ? '' : languageName(code)]), 'languages');
  chips('kinds', unique(entries.map((e) => e.kind)).sort().map((v) => [v, v]), 'kinds');
  chips('licences', unique(entries.map((e) => e.licence)).sort().map((v) => [v, v || 'not stated']), 'licences');
  chips('sizes', SIZES.filter(([, , test]) => entries.some((e) => test(e.parameters))).map(([key, text]) => [key, text]), 'sizes');
  chips('shown', group.measures.map((m, k) => [k, m.name, m.help]), 'shown');
  const on = ['languages', 'kinds', 'licences', 'sizes'].reduce((n, key) => n + (state[key].length ? 1 : 0), 0);
  $('active').textContent = on ? ` (${on} active)` : '';
}

function renderNotices() {
  const group = view.group, parts = [];
  if (data.groups.length > 1 && group.differs.length) {
    parts.push(el('div', {class: 'notice'}, 'These models are ranked apart: their results differ from the first ranking of this benchmark in', el('ul', {}, group.differs.map((d) => el('li', {}, bdi(d))))));
  }
  $('notices').replaceChildren(...parts);
}

function renderWords(count) {
  const group = view.group, where = state.setting === ALL ? 'all settings, averaged' : settingLabel(group, state.setting);
  const languages = state.languages.length ? `, queries in ${state.languages.map(languageName).join(', ')}` : '';
  $('title').textContent = data.title;
  $('subtitle').textContent = group.title;
  $('caption').textContent = `${view.measure.name} in ${where}${languages}`;
  const ranked = view.sign ? `ranked by ${state.rank === 'borda' ? 'Borda count over query languages' : 'mean'}` : 'this measure has no better side, so nothing is ranked';
  $('status').textContent = `${count} of ${plural(group.entries.length, 'model')}, ${ranked}`;
  const better = {higher: 'Higher is better.', lower: 'Lower is better.', none: ''}[view.measure.better];
  const tests = view.tested ? ` Pointing at a model marks those that no test tells apart from it. Rank range: the ranks that the tests leave open (paired t-test on ${state.setting === ALL ? '' : `${plural(group.settings[state.setting].questions, 'question')}, `}Holm over all pairs).`
    : ' Intervals and tests are there for one setting, a tested measure, and all languages or a single one.';
  $('legend').textContent = `${view.measure.help ? `${view.measure.name}: ${view.measure.help.replace(/\.+$/, '')}. ` : ''}${better}${tests}`;
  $('picked').hidden = !state.pick.length;
  $('picked-names').replaceChildren(...state.pick.flatMap((i, n) => [n ? ' and ' : '', bdi(group.entries[i].name)]), ...(state.pick.length === 1 ? [' and one more'] : []));
  $('compare').disabled = state.pick.length !== 2;
  const data_ = group.protocol.filter(([name]) => name.startsWith('data: ')).map(([name, revision]) => `${name.slice(6)} at revision ${revision.slice(0, 16)}`);
  $('about').replaceChildren(
    el('p', {}, `${percent()} intervals are clustered bootstrap intervals of ${data.samples.toLocaleString('en')} samples; a question and all its translations are drawn together. Borda is the share of the other models beaten, averaged over query languages. With languages chosen, scores and Borda are those of the chosen languages.`),
    el('dl', {}, fact('Data', data_.join('; ')), group.protocol.filter(([name]) => !name.startsWith('data: ') && !name.startsWith('corpora')).map(([name, value]) => fact(name, bdi(value)))),
    ...group.notes.map((note) => el('p', {}, bdi(note))),
    ...(group.entries.some((e) => e.key) ? [el('p', {}, 'To add a model: ', el('code', {}, `mimo-eval run MODEL -b ${group.benchmark}`), ', and its result with ', el('code', {}, 'mimo-eval leaderboard submit'), '.')] : []));
}

function renderGeometry() {
  const group = view.group, collection = unique(group.settings.map((s) => s.collection)).find((name) => group.entries.some((e) => e.geometry[name] && known(e.geometry[name].alignment) && known(e.geometry[name].uniformity)));
  $('geometry').hidden = !collection;
  if (!collection) return;
  const points = group.entries.map((e, entry) => ({name: e.name, entry, ...(e.geometry[collection] || {})})).filter((p) => known(p.alignment) && known(p.uniformity) && passes(group.entries[p.entry]));
  const open = (i) => change({open: i});
  const number = (v) => v.toFixed(3).replace('-', '−');
  $('geometry-body').replaceChildren(...(points.length ? [scatter(points, open),
    el('details', {class: 'small'}, el('summary', {}, 'As a table'), el('table', {class: 'plain'},
      el('thead', {}, el('tr', {}, ['Model', 'Alignment', 'Uniformity'].map((h, n) => el('th', {scope: 'col', class: n ? 'number' : null}, h)))),
      el('tbody', {}, points.map((p) => el('tr', {}, el('th', {scope: 'row'}, bdi(p.name)), el('td', {class: 'number'}, number(p.alignment)), el('td', {class: 'number'}, number(p.uniformity)))))))]
    : [el('p', {class: 'soft'}, 'No model that passes the filters has vectors that were analysed.')]));
}

const decides = (s) => JSON.stringify([s.group, s.setting, s.measure, s.rank, s.columns, s.languages, s.shown, s.pick]);
let decided = null, later = null;

function render(focus) {
  if (decides(state) !== decided) {
    decided = decides(state);
    view = computeView();
    rowsMade.clear();
  }
  const count = renderTable(state);
  renderControls(); renderNotices(); renderWords(count); renderDialog();
  clearTimeout(later);
  later = setTimeout(renderGeometry); // it lies below: the ranking answers first
  if (focus) {
    const target = [...document.querySelectorAll('[data-focus]')].find((node) => node.dataset.focus === focus);
    if (target) target.focus({preventScroll: true});
  }
}

// What the table shows, in its order, with every digit that the page has.
function csv() {
  const columns = columnsOf(state), entries = view.group.entries;
  // a text that a spreadsheet would take for a formula gets an apostrophe, as in board.csv
  const cell = (v) => (typeof v === 'number' ? String(Number.isInteger(v) ? v : Number(v.toPrecision(6))) : v === null || v === undefined ? ''
    : `"${(/^[ \ufeff]*[=+\-@\t\r\n＝＋－＠]/.test(v) ? `'${v}` : v).replace(/"/g, '""')}"`);
  const ends = (i, n) => (view.interval(i) || [null, null])[n];
  const fields = columns.flatMap((c) => (c.key === 'interval' ? [['low', (i) => ends(i, 0)], ['high', (i) => ends(i, 1)]] : [[c.label, c.key === 'range' ? (i) => (view.range(i) ? rangeText(i) : null) : c.value]]));
  const rows = orderOf(columns, state).filter((i) => passes(entries[i]));
  return [['rank', 'model', ...fields.map(([label]) => label)], ...rows.map((i) => [view.places[i], entries[i].name, ...fields.map(([, value]) => value(i))])]
    .map((line) => `${line.map(cell).join(',')}\r\n`).join('');
}

function download() {
  const address = URL.createObjectURL(new Blob([csv()], {type: 'text/csv;charset=utf-8'}));
  const name = [view.group.benchmark, state.setting === ALL ? ALL : settingLabel(view.group, state.setting), view.measure.name].join(' ').replace(/[^\w@.-]+/g, '_');
  el('a', {href: address, download: `${name}.csv`}).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

const THEMES = [['', 'Theme: system'], ['light', 'Theme: light'], ['dark', 'Theme: dark']];
function theme(next) {
  const kept = () => { try { return localStorage.getItem('mimo-eval-theme') || ''; } catch { return ''; } };
  let now = Math.max(0, THEMES.findIndex(([key]) => key === kept()));
  if (next) {
    now = (now + 1) % THEMES.length;
    try { localStorage.setItem('mimo-eval-theme', THEMES[now][0]); } catch { /* a page from disk may have no storage */ }
  }
  const [key, label] = THEMES[now];
  if (key) document.documentElement.dataset.theme = key; else delete document.documentElement.dataset.theme;
  $('theme').textContent = label;
}

function share() {
  const done = (text) => { $('share').textContent = text; setTimeout(() => { $('share').textContent = 'Copy link'; }, 2000); };
  const failed = () => done('Copy it from the address bar');
  if (!navigator.clipboard) failed(); else navigator.clipboard.writeText(location.href).then(() => done('Copied'), failed);
}

segments('rank', RANKS, 'rank');
segments('columns', COLUMNS, 'columns');
$('group').addEventListener('change', (event) => change({group: Number(event.target.value)}));
$('setting').addEventListener('change', (event) => {
  const setting = event.target.value === ALL ? ALL : Number(event.target.value), group = groupOf();
  const here = setting === ALL ? group.settings : [group.settings[setting]];
  change({setting, measure: here.some((x) => x.scores[state.measure]) ? state.measure : mainOf(group, setting)});
});
$('measure').addEventListener('change', (event) => change({measure: Number(event.target.value), sort: 'rank', descending: false}));
$('find').addEventListener('input', (event) => change({find: event.target.value}));
$('reset').addEventListener('click', () => change({find: '', languages: [], kinds: [], licences: [], sizes: [], shown: []}));
$('compare').addEventListener('click', () => change({versus: true, open: null}));
$('unpick').addEventListener('click', () => change({pick: []}));
$('theme').addEventListener('click', () => theme(true));
$('share').addEventListener('click', share);
$('download').addEventListener('click', download);
$('controls').addEventListener('submit', (event) => event.preventDefault());
$('dialog').addEventListener('close', () => { if (state.open !== null || state.versus) closeDialog(); });
$('dialog').addEventListener('click', (event) => { if (event.target === $('dialog')) closeDialog(); });
document.querySelector('[data-skip]').addEventListener('click', (event) => { event.preventDefault(); $('ranking').focus(); });
const follow = () => { state = readFragment(location.hash); $('more').open = ['languages', 'kinds', 'licences', 'sizes', 'shown'].some((key) => state[key].length); render(); };
addEventListener('hashchange', follow);
theme(false);
follow();
