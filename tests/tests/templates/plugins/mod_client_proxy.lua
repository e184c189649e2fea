-- Stand-in for Jitsi's module of this name: a component that knows whom it speaks for.
assert(module:get_option_string("target_address"), "no target_address");
