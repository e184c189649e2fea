"""The texts the data plane is made of: packet rules, HAProxy's configuration and commands, names, metadata,
the command line of a control group."""

from region.addresses import PublicAddresses
from region.firewall import Ingress, Interface, ruleset
from region.haproxy import Config, Listener, Pool, Server, changes, render, skeleton
from region.metadata import Tokens, walk
from region.metrics import BalancerCounters


def test_packet_rules_translate_and_let_in_what_the_group_says():
    text = ruleset([
        Interface("i1", {"10.0.0.5": "198.51.100.7"},
                  [Ingress("udp", (10000, 10000), ("0.0.0.0/0",)), Ingress("tcp", (443, 443), ("10.0.0.9",)),
                   Ingress("tcp", (22, 22), ())]),
    ])
    assert "elements = { 10.0.0.5 : 198.51.100.7 }" in text
    assert 'oifname "i1" udp dport 10000-10000 accept' in text
    assert 'oifname "i1" ip saddr { 10.0.0.9 } tcp dport 443-443 accept' in text
    assert "dport 22" not in text
    assert "policy drop" in text


def test_no_route_or_no_power_means_no_public_address():
    for changed in ({"routed": False}, {"cut": {"10.0.0.5"}}):
        text = ruleset([Interface("i1", {"10.0.0.5": "198.51.100.7"}, [], **changed)])
        assert "198.51.100.7" not in text


def config(servers, **changes):
    values = {"addresses": ["10.0.0.4"], "source": "10.0.0.4", "idle_timeout": 300,
              "listeners": [Listener(80, [], "TLSv1.2", ["default_backend site"])],
              "pools": [Pool("site", True, servers)]}
    return Config(**values | changes)


def test_targets_change_without_a_reload_and_listeners_with_one():
    one = config({0: Server("10.0.0.5", 443, "ready")})
    other = config({1: Server("10.0.1.5", 443, "ready")})
    assert skeleton(one) == skeleton(other)
    assert render(one) != render(other)
    assert skeleton(one) != skeleton(config({}, idle_timeout=60))
    assert "  server s0 10.0.0.5:443 ssl verify none" in render(one).splitlines()


def test_draining_keeps_connections_and_the_end_cuts_them():
    ready = [Pool("site", True, {0: Server("10.0.0.5", 443, "ready")})]
    drain = [Pool("site", True, {0: Server("10.0.0.5", 443, "drain")})]
    gone = [Pool("site", True, {})]
    assert changes(ready, ready) == []
    assert changes(ready, drain) == ["set server site/s0 state drain"]
    assert changes(drain, gone) == ["set server site/s0 state maint", "shutdown sessions server site/s0"]
    assert changes(gone, ready) == [
        "set server site/s0 addr 10.0.0.5 port 443", "set server site/s0 state ready"]


def test_metadata_tokens_end_and_belong_to_one_instance():
    now = [0.0]
    tokens = Tokens(lambda: now[0])
    token = tokens.make("i-1", 10)
    assert tokens.valid(token, "i-1")
    assert not tokens.valid(token, "i-2")
    assert not tokens.valid(None, "i-1")
    now[0] = 10
    assert not tokens.valid(token, "i-1")


def test_metadata_directories_are_listed():
    tree = {"placement": {"region": "eu-central-1"}, "instance-id": "i-1"}
    assert walk(tree, []) == b"instance-id\nplacement/"
    assert walk(tree, ["placement", "region"]) == b"eu-central-1"
    assert walk(tree, ["spot"]) is None


def test_public_addresses_come_back_late():
    addresses = PublicAddresses()
    taken = [addresses.take() for _ in range(254)]
    assert len(set(taken)) == 254
    assert addresses.take() == taken[0]


def test_balancer_counts_since_the_last_reading_and_after_a_reload():
    class Proxy:
        def __init__(self):
            self.rows = []

        def statistics(self):
            return self.rows

    def rows(requests, errors, from_target):
        return [{"svname": "FRONTEND", "req_tot": str(requests), "hrsp_5xx": str(errors)},
                {"svname": "s0", "hrsp_5xx": str(from_target)}]

    proxy, counters = Proxy(), BalancerCounters()
    arn = "arn:aws:elasticloadbalancing:eu-central-1:1:loadbalancer/app/site/1"

    def read():
        return {s.name: s.value for s in counters.samples({arn: proxy})}

    proxy.rows = rows(10, 3, 1)
    assert read() == {"RequestCount": 10, "HTTPCode_ELB_5XX_Count": 2, "HTTPCode_Target_5XX_Count": 1}
    proxy.rows = rows(12, 3, 1)
    assert read() == {"RequestCount": 2}
    proxy.rows = rows(1, 1, 0)
    assert read() == {"RequestCount": 1, "HTTPCode_ELB_5XX_Count": 1}
