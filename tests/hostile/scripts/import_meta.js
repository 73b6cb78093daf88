// expect: error
// error: SyntaxError
import.meta.url;
