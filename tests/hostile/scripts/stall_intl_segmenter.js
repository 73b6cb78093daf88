// expect: timeout|oom
// job: {"timeout_ms": 200}
const text = 'word and \u{1f468}\u200d\u{1f469} '.repeat(2 ** 18);
for (;;) [...new Intl.Segmenter('en', { granularity: 'word' }).segment(text)].length;
