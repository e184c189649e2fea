-- Stand-in for Jitsi's module of this name: lets everybody in under a random name.
local new_sasl = require "util.sasl".new;
local uuid = require "util.uuid".generate;

module:provides("auth", {
    get_sasl_handler = function ()
        return new_sasl(module.host, {
            anonymous = function (_, _, _) return uuid(), true; end;
        });
    end;
    user_exists = function () return true; end;
});
