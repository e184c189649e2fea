"""E-mail subscriptions of SNS: unconfirmed until the mail is answered, then delivered into a maildir."""

import mailbox
import uuid
from email.message import EmailMessage
from pathlib import Path

from moto.core.responses import ActionResult
from moto.sns.exceptions import SNSInvalidParameter
from moto.sns.models import SNSBackend, Subscription
from moto.sns.responses import SNSResponse

from .world import World, log

PENDING = "PendingConfirmation"
MAIL = ("email", "email-json")


class Mail:
    """Delivers mail and confirms subscriptions as the person who reads the mail would."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        self.directory = directory
        self._box = mailbox.Maildir(str(directory), create=True)
        self._waiting: dict[str, tuple[Subscription, float]] = {}  # by token
        self._patch()

    def _patch(self) -> None:
        mail = self
        original_subscribe, original_publish = SNSBackend.subscribe, Subscription.publish

        def subscribe(backend, topic_arn, endpoint, protocol):
            subscription = original_subscribe(backend, topic_arn, endpoint, protocol)
            if protocol in MAIL and not hasattr(subscription, "token"):
                subscription.token = uuid.uuid4().hex
                subscription.confirmed = False
                mail._ask(subscription)
            return subscription

        def publish(subscription, message, message_id, subject=None, **kwargs):
            if subscription.protocol not in MAIL:
                original_publish(subscription, message, message_id, subject=subject, **kwargs)
            elif subscription.confirmed:
                mail.deliver(subscription, subject or "AWS Notification Message", message)

        def shown(subscription):
            arn = PENDING if _unconfirmed(subscription) else subscription.arn
            return {
                "SubscriptionArn": arn,
                "Owner": subscription.owner,
                "Protocol": subscription.protocol,
                "Endpoint": subscription.endpoint,
                "TopicArn": subscription.topic_arn,
            }

        def listed(response):
            topic, token = response._get_param("TopicArn"), response._get_param("NextToken")
            if topic:
                rows, token = response.backend.list_subscriptions_by_topic(topic, next_token=token)
            else:
                rows, token = response.backend.list_subscriptions(next_token=token)
            return ActionResult({"Subscriptions": [shown(s) for s in rows], "NextToken": token})

        def subscribe_action(response):
            original_action(response)
            backend, params = response.backend, response._get_param
            found = backend._find_subscription(params("TopicArn"), params("Endpoint"), params("Protocol"))
            whole = response._get_bool_param("ReturnSubscriptionArn", False)
            hidden = _unconfirmed(found) and not whole
            return ActionResult({"SubscriptionArn": "pending confirmation" if hidden else found.arn})

        def confirm(response):
            subscription = mail.confirm(response._get_param("Token"))
            if subscription is None:
                raise SNSInvalidParameter("Invalid parameter: Token")
            return ActionResult({"SubscriptionArn": subscription.arn})

        original_action = SNSResponse.subscribe
        SNSBackend.subscribe, Subscription.publish = subscribe, publish
        SNSResponse.subscribe, SNSResponse.confirm_subscription = subscribe_action, confirm
        SNSResponse.list_subscriptions = SNSResponse.list_subscriptions_by_topic = listed

    def _ask(self, subscription: Subscription) -> None:
        self._waiting[subscription.token] = (subscription, self.world.clock())
        self.deliver(
            subscription,
            "AWS Notification - Subscription Confirmation",
            f"You have chosen to subscribe to the topic:\n{subscription.topic_arn}\n\n"
            f"To confirm this subscription, call ConfirmSubscription with\nToken={subscription.token}\n",
        )

    def confirm(self, token: str) -> Subscription | None:
        subscription, _ = self._waiting.pop(token, (None, 0))
        if subscription is not None:
            subscription.confirmed = True
            log.info("%s confirmed its subscription", subscription.endpoint)
        return subscription

    def tick(self, now: float) -> None:
        """Answers the confirmation mails that lie long enough."""
        limit = self.world.delays.subscription
        if limit < 0:
            return
        for token, (_, asked) in list(self._waiting.items()):
            if now - asked >= limit:
                self.confirm(token)

    def deliver(self, subscription: Subscription, subject: str, body: str) -> None:
        message = EmailMessage()
        message["From"] = "AWS Notifications <no-reply@sns.amazonaws.com>"
        message["To"] = subscription.endpoint
        message["Subject"] = " ".join(subject.split())
        message["X-Amz-Sns-Topic-Arn"] = subscription.topic_arn
        message.set_content(body)
        self._box.add(message)
        log.info("mail to %s: %s", subscription.endpoint, message["Subject"])


def _unconfirmed(subscription: Subscription) -> bool:
    return subscription.protocol in MAIL and not subscription.confirmed
