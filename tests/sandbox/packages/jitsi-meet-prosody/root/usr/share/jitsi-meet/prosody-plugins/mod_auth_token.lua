-- Lets in who brings a JSON Web Token in the address: HS256, issuer, audience and times are checked.
local formdecode = require "prosody.util.http".formdecode;
local jwt = require "prosody.util.jwt";
local sasl = require "prosody.util.sasl";

local verify = jwt.new_verifier("HS256", module:get_option_string("app_secret"));
local issuers = module:get_option_set("asap_accepted_issuers", { module:get_option_string("app_id") });
local audiences = module:get_option_set("asap_accepted_audiences", { "*" });
local empty_allowed = module:get_option_boolean("allow_empty_token", false);

local function remember(event)
	local query = event.request.url.query;
	if query then
		local fields = formdecode(query);
		event.session.auth_token = type(fields) == "table" and fields.token or nil;
	end
end

module:hook_global("bosh-session", remember);
module:hook_global("websocket-session", remember);

local function welcome(session)
	if not session.auth_token then return empty_allowed; end
	local good, claims = verify(session.auth_token);
	if not good then return false; end
	return issuers:contains(claims.iss) and (audiences:contains("*") or audiences:contains(claims.aud));
end

local provider = {};

function provider.get_sasl_handler(session)
	return sasl.new(module.host, { anonymous = function () return welcome(session); end });
end

function provider.user_exists() return false; end
function provider.test_password() return nil, "no passwords here"; end
function provider.create_user() return nil, "no accounts here"; end

module:provides("auth", provider);
