# PROCPOOL_SANITIZE instruments all of the build: a sanitizer wants every translation unit.

if(PROCPOOL_SANITIZE)
  add_compile_options(-fsanitize=${PROCPOOL_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${PROCPOOL_SANITIZE})
  if(PROCPOOL_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
endif()
