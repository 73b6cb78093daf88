// expect: error
import('file:///etc/passwd').then((m) => m.default);
