-- On `create-lobby-room` the room is closed to all but those in it, and others are shown its lobby.
local st = require "prosody.util.stanza";

local lobby = assert(module:get_option_string("lobby_muc"), "no lobby_muc");
local main = assert(module:get_option_string("main_muc"), "no main_muc");

local function stop_strangers(event)
	local room, occupant, stanza = event.room, event.occupant, event.stanza;
	if room._data.lobbyroom and not room:get_affiliation(occupant.bare_jid) then
		local refusal = st.error_reply(stanza, "auth", "registration-required");
		event.origin.send(refusal:text_tag("lobbyroom", room._data.lobbyroom, { xmlns = "http://jitsi.org/jitmeet" }));
		return true;
	end
end

local guarded;
module:hook_global("create-lobby-room", function (event)
	local room = event.room;
	for _, occupant in room:each_occupant() do
		if not room:get_affiliation(occupant.bare_jid) then
			room:set_affiliation(true, occupant.bare_jid, "member");
		end
	end
	room:set_members_only(true);
	room._data.lobbyroom = room.jid:match("^[^@]+").."@"..lobby;
	if not guarded then
		-- before Prosody's own look at members
		prosody.hosts[main].events.add_handler("muc-occupant-pre-join", stop_strangers, -4);
		guarded = true;
	end
end);
