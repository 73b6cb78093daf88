// expect: output_limit|oom
Array(3e5).fill('abcdefghijklmnopqrstuvwxyz');
