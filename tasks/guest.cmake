# starling_guest(NAME SOURCES...): compiles a C or C++ program to build/<preset>/guests/NAME.wasm; target guest_NAME, and
# all_guests for all of them.
#
# Relative sources are taken from the calling folder; includes start at the project root. Headers are found by the
# compiler's dependency file, so touching one rebuilds the guest. Debian's clang finds its wasm runtime only under the
# older name of the target, wasm32-wasi; it is WASI preview 1 as well. The stack has 1 MiB and lies below all data, so
# an overflow traps instead of overwriting variables. -ffp-contract=off: a fused multiply-add would give other bytes
# than the native build.
find_program(STARLING_GUEST_CXX clang++-19 DOC "C++ compiler for guest programs")
find_program(STARLING_GUEST_CC clang-19 DOC "C compiler for guest programs")

function(starling_guest_target name module)
  add_custom_target(guest_${name} ALL DEPENDS ${module})
  set_target_properties(guest_${name} PROPERTIES STARLING_MODULE ${module})
  if(NOT TARGET all_guests)
    add_custom_target(all_guests)
  endif()
  add_dependencies(all_guests guest_${name})
endfunction()

function(starling_guest name)
  if(NOT STARLING_GUEST_CXX OR NOT STARLING_GUEST_CC)
    message(FATAL_ERROR "clang-19 for guest programs is missing; install the 'guest' packages of deploy/packages.txt "
                        "or configure with -DSTARLING_GUESTS=OFF")
  endif()
  set(flags --target=wasm32-wasi -O3 -msimd128 -ffp-contract=off -Wall -Wextra -Werror -I${PROJECT_SOURCE_DIR})
  set(work ${PROJECT_BINARY_DIR}/guests/${name}.objects)
  set(module ${PROJECT_BINARY_DIR}/guests/${name}.wasm)
  file(MAKE_DIRECTORY ${work})
  set(objects)
  foreach(source IN LISTS ARGN)
    cmake_path(ABSOLUTE_PATH source BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} NORMALIZE)
    cmake_path(GET source FILENAME filename)
    if(filename MATCHES "\\.c$")
      set(compile ${CMAKE_C_COMPILER_LAUNCHER} ${STARLING_GUEST_CC} -std=c17)
    else()
      set(compile ${CMAKE_CXX_COMPILER_LAUNCHER} ${STARLING_GUEST_CXX} -std=c++23 -fno-exceptions -fno-rtti)
    endif()
    cmake_path(RELATIVE_PATH source BASE_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE place)
    string(REPLACE "/" "_" place ${place})
    set(object ${work}/${place}.o)
    add_custom_command(
      OUTPUT ${object}
      COMMAND ${compile} ${flags} -MD -MF ${object}.d -MT ${object} -c ${source} -o ${object}
      DEPENDS ${source}
      DEPFILE ${object}.d
      COMMENT "Guest ${name}: ${filename}"
      VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  add_custom_command(
    OUTPUT ${module}
    COMMAND ${STARLING_GUEST_CXX} --target=wasm32-wasi -Wl,--strip-all -Wl,-z,stack-size=1048576 -Wl,--stack-first
            ${objects} -o ${module}
    DEPENDS ${objects}
    COMMENT "Guest ${name}.wasm"
    VERBATIM)
  starling_guest_target(${name} ${module})
endfunction()

# starling_rust_guest(NAME SOURCE): the same for one Rust file, by Debian's rustc for wasm32-wasip1 and std alone.
find_program(STARLING_GUEST_RUSTC rustc DOC "Rust compiler for guest programs")
find_program(STARLING_GUEST_LINKER wasm-ld-19 DOC "linker for Rust guest programs")

function(starling_rust_guest name source)
  if(NOT STARLING_GUEST_RUSTC OR NOT STARLING_GUEST_LINKER)
    message(FATAL_ERROR "rustc or wasm-ld-19 for guest programs is missing; install the 'guest' and 'test' packages of "
                        "deploy/packages.txt or configure with -DSTARLING_GUESTS=OFF")
  endif()
  cmake_path(ABSOLUTE_PATH source BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} NORMALIZE)
  set(module ${PROJECT_BINARY_DIR}/guests/${name}.wasm)
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/guests)
  add_custom_command(
    OUTPUT ${module}
    COMMAND ${STARLING_GUEST_RUSTC} --edition 2021 --target wasm32-wasip1 -O -D warnings -C linker=${STARLING_GUEST_LINKER}
            -C strip=symbols -C link-arg=-zstack-size=1048576 -C link-arg=--stack-first ${source} -o ${module}
    DEPENDS ${source}
    COMMENT "Guest ${name}.wasm"
    VERBATIM)
  starling_guest_target(${name} ${module})
endfunction()
