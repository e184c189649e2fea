//! Reads a configuration as its program does.

use mlua::{Lua, LuaSerdeExt};
use serde_json::Value;

/// Prosody's own reading of its configuration: assignments belong to the last host named.
const PROSODY: &str = r#"
    local hosts, current = { ["*"] = {} }, nil
    current = hosts["*"]
    local env = setmetatable({}, { __newindex = function (_, key, value) current[key] = value end })
    local function host(kind)
        return function (name)
            assert(hosts[name] == nil, "host named twice")
            current = { [kind] = true }
            hosts[name] = current
            return function (module) current.module = module end
        end
    end
    rawset(env, "VirtualHost", host("virtual"))
    rawset(env, "Component", host("component"))
    rawset(env, "Include", function (path) current.include = path end)
    assert(load(source, "config", "t", env))()
    -- What the logs are filtered with is no data.
    for _, sink in ipairs(hosts["*"].log or {}) do sink.filter = type(sink.filter) end
    return hosts
"#;

pub(crate) fn prosody(text: &str) -> Value {
    let lua = Lua::new();
    lua.globals().set("source", text).unwrap();
    let hosts: mlua::Value = lua.load(PROSODY).eval().unwrap_or_else(|e| panic!("{e}\n{text}"));
    lua.from_value(hosts).unwrap()
}

pub(crate) fn hocon(text: &str) -> Value {
    hocon_rs::Config::parse_str(text, None).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

pub(crate) fn config_js(text: &str) -> Value {
    let context = rquickjs::Context::full(&rquickjs::Runtime::new().unwrap()).unwrap();
    let json: String = context.with(|ctx| {
        ctx.eval(format!("{text}\n;JSON.stringify(config)"))
            .unwrap_or_else(|e| panic!("{e}\n{text}"))
    });
    serde_json::from_str(&json).unwrap()
}
