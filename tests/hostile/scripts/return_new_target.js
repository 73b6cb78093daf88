// expect: ok|error
return new.target;
