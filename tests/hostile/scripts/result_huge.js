// expect: output_limit
// message: max_result_bytes
'x'.repeat(9e6);
