// expect: output_limit
// message: max_result_bytes
await 0;
'x'.repeat(9e6);
