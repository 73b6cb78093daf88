// expect: error
// error: SyntaxError
%DebugPrint(1);
