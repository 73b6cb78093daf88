# Script of isoq_embed: writes the bytes of INPUT to OUTPUT as the C array SYMBOL.
file(READ "${INPUT}" hex HEX)
string(LENGTH "${hex}" digits)
math(EXPR length "${digits} / 2")
string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
# Eighty bytes a line; one endless line makes compilers and people slow.
string(REPEAT "....." 80 line)
string(REGEX REPLACE "(${line})" "\\1\n" bytes "${bytes}")
file(WRITE "${OUTPUT}"
  "#include \"${HEADER}\"\nconst unsigned char ${SYMBOL}[] = {\n${bytes}0x00};\nconst size_t ${SYMBOL}_len = ${length};\n")
