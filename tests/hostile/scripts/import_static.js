// expect: error
// error: SyntaxError
import fs from 'fs';
