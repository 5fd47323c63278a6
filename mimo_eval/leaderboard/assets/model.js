// State, and what follows from it. The state is the URL fragment; everything shown is computed from it and the data.
const ALL = 'all';
const SIZES = [
  ['none', 'none or not known', (n) => n === null],
  ['small', 'up to 50M', (n) => n !== null && n <= 5e7],
  ['medium', '50M to 500M', (n) => n > 5e7 && n <= 5e8],
  ['large', 'over 500M', (n) => n > 5e8],
];
const RANKS = [['mean', 'Mean'], ['borda', 'Borda']];
const COLUMNS = [['settings', 'Settings'], ['languages', 'Languages'], ['measures', 'Measures']];

const fresh = () => ({
  group: 0, setting: null, measure: null, rank: 'mean', columns: 'settings', find: '', languages: [], kinds: [],
  licences: [], sizes: [], shown: [], sort: 'rank', descending: false, pick: [], open: null, versus: false,
});
let state = fresh();

const groupOf = (s = state) => data.groups[s.group];
const settingLabel = (group, k) => {
  const setting = group.settings[k];
  const several = unique(group.settings.map((s) => s.collection)).length > 1;
  return several ? `${setting.collection} ${setting.mix}` : setting.mix;
};

function readFragment(text) {
  const given = new URLSearchParams(text.replace(/^#/, ''));
  const next = fresh();
  const list = (key) => given.getAll(key);
  const group = Number(given.get('ranking') || 1) - 1;
  if (Number.isInteger(group) && data.groups[group]) next.group = group;
  const here = data.groups[next.group];
  const setting = given.get('setting');
  if (setting === ALL) next.setting = ALL;
  else if (setting) { const k = here.settings.findIndex((x, i) => settingLabel(here, i) === setting || x.setting === setting); if (k >= 0) next.setting = k; }
  if (next.setting === null) next.setting = 0;
  const measure = here.measures.findIndex((m) => m.name === given.get('measure'));
  next.measure = measure >= 0 ? measure : mainOf(here, next.setting);
  if (RANKS.some(([key]) => key === given.get('rank'))) next.rank = given.get('rank');
  if (COLUMNS.some(([key]) => key === given.get('columns'))) next.columns = given.get('columns');
  next.find = given.get('find') || '';
  const languages = groupLanguages(here);
  next.languages = list('language').filter((code) => languages.includes(code));
  next.kinds = list('type').filter((kind) => here.entries.some((e) => e.kind === kind));
  next.licences = list('licence').filter((licence) => here.entries.some((e) => e.licence === licence));
  next.sizes = list('size').filter((size) => SIZES.some(([key]) => key === size));
  next.shown = list('with').map((name) => here.measures.findIndex((m) => m.name === name)).filter((i) => i >= 0);
  const [sort, way] = (given.get('sort') || 'rank').split('~');
  next.sort = sort; next.descending = way === 'down';
  const named = (name) => here.entries.findIndex((e) => e.name === name);
  next.pick = unique(list('pick').map(named).filter((i) => i >= 0)).slice(0, 2);
  const open = named(given.get('model'));
  next.open = open >= 0 ? open : null;
  next.versus = given.has('compare') && next.pick.length === 2;
  return next;
}

function writeFragment() {
  const here = groupOf(), out = new URLSearchParams();
  const put = (key, value, usual) => { if (value !== usual) out.append(key, value); };
  put('ranking', String(state.group + 1), '1');
  put('setting', state.setting === ALL ? ALL : settingLabel(here, state.setting), settingLabel(here, 0));
  put('measure', here.measures[state.measure].name, here.measures[mainOf(here, state.setting)].name);
  put('rank', state.rank, 'mean'); put('columns', state.columns, 'settings'); put('find', state.find, '');
  state.languages.forEach((v) => out.append('language', v)); state.kinds.forEach((v) => out.append('type', v));
  state.licences.forEach((v) => out.append('licence', v)); state.sizes.forEach((v) => out.append('size', v));
  state.shown.forEach((v) => out.append('with', here.measures[v].name));
  put('sort', state.sort + (state.descending ? '~down' : ''), 'rank');
  state.pick.forEach((i) => out.append('pick', here.entries[i].name));
  if (state.open !== null) out.append('model', here.entries[state.open].name);
  if (state.versus) out.append('compare', 'yes');
  return out.toString();
}

const mainOf = (group, setting) => group.settings[setting === ALL ? 0 : setting].main;
const groupLanguages = (group) => unique(group.settings.flatMap((s) => s.languages)).sort();

// One entry's score in one setting, over the chosen languages weighted by their corpora, as the mean over cells is.
function score(setting, measure, entry, languages) {
  if (!setting.scores[measure]) return null;
  if (!languages.length) return setting.scores[measure][entry];
  let sum = 0, weight = 0;
  setting.languages.forEach((code, l) => {
    if (!languages.includes(code)) return;
    const value = languageScore(setting, measure, entry, l);
    if (known(value)) { sum += value * setting.cells[l]; weight += setting.cells[l]; }
  });
  return weight ? sum / weight : null;
}
const languageScore = (setting, measure, entry, l) => {
  const list = setting.byLanguage[measure];
  return list ? list[entry * setting.languages.length + l] : null;
};
const signOf = (measure) => ({higher: 1, lower: -1, none: 0})[measure.better];

// Which scope of the tests fits the chosen languages: all (0), one (1 + its place), or none.
function scopeOf(setting, languages) {
  if (!languages.length) return 0;
  const places = languages.map((code) => setting.languages.indexOf(code)).filter((l) => l >= 0);
  return places.length === 1 ? 1 + places[0] : places.length === setting.languages.length ? 0 : null;
}

function bordaOf(votes, sign) {
  const count = votes.length, voters = count ? votes[0].length : 0;
  if (!voters || count < 2 || !sign) return votes.map(() => null);
  const points = new Array(count).fill(0);
  for (let v = 0; v < voters; v++) {
    for (let i = 0; i < count; i++) {
      const mine = votes[i][v];
      if (!known(mine)) continue;
      for (let j = 0; j < count; j++) {
        if (i === j) continue;
        const gain = known(votes[j][v]) ? sign * (mine - votes[j][v]) : 1;
        points[i] += gain > 1e-9 ? 1 : gain >= -1e-9 ? 0.5 : 0;
      }
    }
  }
  return points.map((p, i) => (votes[i].some(known) ? p / (voters * (count - 1)) : null));
}

// Everything that the ranking shows: per entry the score, Borda share, place, interval, and who is told apart from whom.
function computeView(s = state) {
  const group = groupOf(s), measure = group.measures[s.measure], sign = signOf(measure), count = group.entries.length;
  const settings = s.setting === ALL ? group.settings.filter((x) => x.scores[s.measure]) : [group.settings[s.setting]];
  const means = settings.map((x) => group.entries.map((_, i) => score(x, s.measure, i, s.languages)));
  const values = group.entries.map((_, i) => {
    const parts = means.map((m) => m[i]);
    return parts.length && parts.every(known) ? mean(parts) : null;
  });
  const votes = group.entries.map((_, i) => settings.flatMap((x) => x.languages
    .map((code, l) => [code, l]).filter(([code]) => !s.languages.length || s.languages.includes(code))
    .map(([, l]) => languageScore(x, s.measure, i, l))));
  const borda = bordaOf(votes, sign);
  const by = s.rank === 'borda' && sign ? borda : values;
  const way = s.rank === 'borda' && sign ? 1 : sign;
  const places = by.map((v) => (known(v) && way ? 1 + by.filter((w) => known(w) && way * (w - v) > 1e-9).length : null));
  const one = s.setting === ALL ? null : group.settings[s.setting];
  const scope = one && one.distinct[s.measure] ? scopeOf(one, s.languages) : null;
  const tested = scope !== null && sign !== 0;
  const differ = tested ? distinctReader(one.distinct[s.measure][scope], count) : null;
  const interval = (i) => {
    if (scope === null) return null;
    const at = (i * (1 + one.languages.length) + scope) * 2, list = one.intervals[s.measure];
    return known(list[at]) ? [list[at], list[at + 1]] : null;
  };
  const range = (i) => {
    if (!tested || !known(values[i])) return null;
    let above = 0, below = 0;
    values.forEach((v, j) => { if (known(v) && differ(i, j)) { if (sign * (v - values[i]) > 0) above += 1; else below += 1; } });
    return [1 + above, values.filter(known).length - below];
  };
  return {group, measure, sign, values, borda, places, interval, range, differ, tested, scope};
}

function passes(entry, s = state) {
  if (s.find && !entry.name.toLocaleLowerCase().includes(s.find.toLocaleLowerCase())) return false;
  if (s.kinds.length && !s.kinds.includes(entry.kind)) return false;
  if (s.licences.length && !s.licences.includes(entry.licence)) return false;
  return !s.sizes.length || SIZES.some(([key, , test]) => s.sizes.includes(key) && test(entry.parameters));
}
