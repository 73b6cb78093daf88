// expect: ok
// result: �a�
'\ud800a\udfff';
