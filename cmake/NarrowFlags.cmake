# Warnings, sanitizers, and the compile flags a kernel file gets from its suffix.
set(NARROW_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough)
# GCC 12 sees vectors of unknown size as freed at an offset (its bug 108842): false in every place it was shown here.
list(APPEND NARROW_WARNINGS $<$<CXX_COMPILER_ID:GNU>:-Wno-free-nonheap-object>)
if(NARROW_WERROR)
  list(APPEND NARROW_WARNINGS -Werror)
endif()
if(NARROW_SANITIZE)
  add_compile_options(-fsanitize=${NARROW_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${NARROW_SANITIZE})
endif()
# The command line and the tests: no time is spent in them, and they compile in two thirds of it.
set(NARROW_NOT_HOT -O1)
# No contraction: a*b+c is an FMA only where the source says so, so every ISA rounds alike.
add_compile_options(-ffp-contract=off)

# gemm_avx512vnni.cpp is compiled with the flags of the longest suffix that fits.
set(NARROW_ISA_avx2 -mavx2 -mfma -mf16c -mbmi -mbmi2)
set(NARROW_ISA_avx2vnni ${NARROW_ISA_avx2} -mavxvnni)
set(NARROW_ISA_avx512 ${NARROW_ISA_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512cd)
set(NARROW_ISA_avx512vnni ${NARROW_ISA_avx512} -mavx512vnni -mavx512vbmi)
set(NARROW_ISA_avx512fp16 ${NARROW_ISA_avx512vnni} -mavx512fp16)
set(NARROW_ISA_avx512bf16 ${NARROW_ISA_avx512vnni} -mavx512bf16)
set(NARROW_ISA_amx ${NARROW_ISA_avx512bf16} -mamx-tile -mamx-int8 -mamx-bf16)

function(narrow_isa_flags source)
  foreach(isa avx2 avx2vnni avx512 avx512vnni avx512fp16 avx512bf16 amx)
    if(source MATCHES "_${isa}\\.cpp$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${NARROW_ISA_${isa}}")
    endif()
  endforeach()
endfunction()
