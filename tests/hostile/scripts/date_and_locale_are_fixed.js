// expect: ok
// result: 0|UTC|en-US
const { timeZone, locale } = Intl.DateTimeFormat().resolvedOptions();
[new Date().getTimezoneOffset(), timeZone, locale].join('|');
