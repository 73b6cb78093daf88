// expect: ok|error
aw\u0061it 5;
