-- Speaks for one user: requests go on to a session of it, sent by `focus.D/<who asked>`, and answers
-- back. It knows the sessions by their presence, for which it must be on the user's roster.
local jid = require "prosody.util.jid";
local st = require "prosody.util.stanza";

local target = assert(module:get_option_string("target_address"), "no target_address");
local present = {};

module:hook("presence/host", function (event)
	local from, kind = event.stanza.attr.from, event.stanza.attr.type;
	if jid.bare(from) == target and jid.resource(from) then
		present[from] = kind == nil or nil;
	end
	return true;
end, -1);

local function pass_on(stanza, from, to)
	local copy = st.clone(stanza);
	copy.attr.from, copy.attr.to = from, to;
	module:send(copy);
end

module:hook("iq/host", function (event)
	local stanza, session = event.stanza, next(present);
	local asker = jid.prep((jid.resource(stanza.attr.to)));
	if asker and jid.bare(stanza.attr.from) == target then
		pass_on(stanza, module.host, asker);
	elseif session then
		pass_on(stanza, module.host.."/"..stanza.attr.from, session);
	elseif stanza.attr.type == "get" or stanza.attr.type == "set" then
		module:send(st.error_reply(stanza, "cancel", "service-unavailable"));
	end
	return true;
end, -1);

-- Answered with the presence of all sessions where the roster has us.
module:send(st.presence({ type = "subscribe", from = module.host, to = target }));
