// expect: ok
// result: �a�
await 0;
'\ud800a\udfff';
