# The program as plugins need it, and what `cmake --install` takes along: bin/weir, include/weir/*.hpp and the package
# that find_package(weir) finds.
weir_api_hash(WEIR_API ${CMAKE_SOURCE_DIR}/engine/api/weir)
set_property(SOURCE engine/cli/plugin.cpp ${generated}/operators.cpp APPEND PROPERTY COMPILE_DEFINITIONS WEIR_API="${WEIR_API}")
# All of the API is in the program, used there or not, and found by the libraries that it loads.
target_sources(weir PRIVATE $<TARGET_OBJECTS:weir_api>)
target_link_options(weir PRIVATE LINKER:--dynamic-list=${CMAKE_SOURCE_DIR}/engine/api/exports.txt)
set_property(TARGET weir PROPERTY LINK_DEPENDS ${CMAKE_SOURCE_DIR}/engine/api/exports.txt)

include(CMakePackageConfigHelpers)
set(package ${generated}/package)
if(WEIR_SANITIZE)
  set(plugin_sanitize -fsanitize=${WEIR_SANITIZE})
endif()
configure_file(engine/api/weirConfig.cmake.in ${package}/weirConfig.cmake @ONLY)
write_basic_package_version_file(${package}/weirConfigVersion.cmake COMPATIBILITY ExactVersion)
install(TARGETS weir DESTINATION bin)
install(DIRECTORY engine/api/weir DESTINATION include FILES_MATCHING PATTERN *.hpp)
install(FILES ${package}/weirConfig.cmake ${package}/weirConfigVersion.cmake engine/api/plugin.cmake DESTINATION lib/cmake/weir)
