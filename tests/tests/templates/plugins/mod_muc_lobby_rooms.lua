-- Stand-in for Jitsi's module of this name: answers the event by closing the room to non-members.
module:hook_global("create-lobby-room", function (event)
    local room = event.room;
    for _, occupant in room:each_occupant() do
        if room:get_affiliation(occupant.bare_jid) == nil then
            room:set_affiliation(true, occupant.bare_jid, "member");
        end
    end
    room:set_members_only(true);
    room._data.lobbyroom = "lobby";
end);
