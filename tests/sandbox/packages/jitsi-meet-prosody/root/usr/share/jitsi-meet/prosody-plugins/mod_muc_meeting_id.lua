-- Nobody gets into a room before jicofo: who comes earlier waits.
local jid = require "prosody.util.jid";

module:hook("muc-occupant-pre-join", function (event)
	local room = event.room;
	if room.jicofo_came then
		return;
	elseif jid.resource(event.occupant.nick) ~= "focus" then
		room.waiting = room.waiting or {};
		table.insert(room.waiting, event);
		return true;
	end
	room.jicofo_came = true;
	for _, early in ipairs(room.waiting or {}) do
		room:handle_normal_presence(early.origin, early.stanza);
	end
	room.waiting = nil;
end, 8);
