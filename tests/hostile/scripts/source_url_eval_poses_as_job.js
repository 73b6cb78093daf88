// expect: error
// message: posed
eval('\n\n\nthrow new Error("posed");\n//# sourceURL=job.js');
