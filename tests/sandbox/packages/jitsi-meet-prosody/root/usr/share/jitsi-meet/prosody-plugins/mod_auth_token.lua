-- Lets in who brings a JSON Web Token in the address: HS256, issuer, audience, times and the claims
-- `sub` and `room` are checked. As Jitsi's own it needs libraries that Debian builds for older Lua only.
require "basexx";
require "cjson.safe";
require "inspect";
local formdecode = require "prosody.util.http".formdecode;
local jwt = require "prosody.util.jwt";
local sasl = require "prosody.util.sasl";
local uuid = require "prosody.util.uuid";

local app_id = assert(module:get_option_string("app_id"), "no app_id");
local verify = jwt.new_verifier("HS256", assert(module:get_option_string("app_secret"), "no app_secret"));
local issuers = module:get_option_set("asap_accepted_issuers", { app_id });
local audiences = module:get_option_set("asap_accepted_audiences", { "*" });
local empty_allowed = module:get_option_boolean("allow_empty_token", false);

local function remember(event)
	local query = event.request.url.query;
	local fields = query and formdecode(query);
	event.session.auth_token = type(fields) == "table" and fields.token or nil;
end

module:hook_global("bosh-session", remember);
module:hook_global("websocket-session", remember);

-- Whether the session may log in, and why not.
local function judge(session)
	if not session.auth_token then
		return empty_allowed, "token required";
	end
	local good, claims = verify(session.auth_token);
	if not good then
		return false, claims;
	elseif claims.nbf and claims.nbf > os.time() then
		return false, "Token cannot be used yet";
	elseif not issuers:contains(claims.iss) then
		return false, "Invalid issuer ('iss' claim)";
	elseif not (audiences:contains("*") or audiences:contains(claims.aud)) then
		return false, "Invalid audience ('aud' claim)";
	elseif not claims.room or not claims.sub then
		return false, "room or sub claim is missing";
	end
	session.jitsi_meet_room = claims.room;
	return true;
end

module:provides("auth", {
	get_sasl_handler = function (session)
		return sasl.new(module.host, { anonymous = function () return judge(session); end });
	end;
	user_exists = function () return false; end;
	test_password = function () return nil, "no passwords here"; end;
	create_user = function () return nil, "no accounts here"; end;
});

-- Prosody's own asks again for ever when it hears no.
sasl.registerMechanism("ANONYMOUS", { "anonymous" }, function (self)
	local good, reason = self.profile.anonymous(self);
	if not good then
		return "failure", "not-allowed", reason;
	end
	self.username = uuid.generate();
	return "success";
end);
