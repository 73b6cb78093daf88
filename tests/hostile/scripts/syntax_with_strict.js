// expect: error
// error: SyntaxError
'use strict';
with ({}) 1;
