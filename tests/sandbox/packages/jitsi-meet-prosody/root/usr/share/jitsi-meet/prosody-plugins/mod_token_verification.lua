-- A token is good for the room it names, `*` for every room. Belongs to the conference component.
local jid = require "prosody.util.jid";
local st = require "prosody.util.stanza";

local admins = module:get_option_inherited_set("admins", {}) / jid.prep;

local function verify(event)
	local session, stanza = event.origin, event.stanza;
	if admins:contains(jid.bare(stanza.attr.from)) then
		return;
	end
	local claim = session.jitsi_meet_room;
	if claim ~= "*" and claim ~= jid.node(stanza.attr.to) then
		-- As Jitsi's own, which says the whole token.
		module:log("error", "Token %s not allowed to join: %s err: %s reason: %s", session.auth_token,
			stanza.attr.to, nil, "Room and token mismatched");
		session.send(st.error_reply(stanza, "cancel", "not-allowed", "Room and token mismatched"));
		return true;
	end
end

module:hook("muc-room-pre-create", verify, 99);
module:hook("muc-occupant-pre-join", verify, 99);
