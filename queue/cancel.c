/*
 * Somebody wants a job stopped that is claimed: its id comes by the channel P:{Q}:cancel, on a connection of its own,
 * since one that subscribed can do nothing else. A message that gets lost does no harm: whoever sends it repeats it
 * until the job has left the claimed list.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "queue/client.h"
#include "queue/job.h"

static void on_message(void *ctx, const char *channel, const char *text, size_t len) {
  struct queue_client *client = ctx;
  char id[JOB_ID_MAX + 1];

  if (!job_id_valid(text, len)) return;
  snprintf(id, sizeof id, "%.*s", (int)len, text);
  for (size_t i = 0; i < client->slot_count; i++)
    if (strcmp(client->slots[i].keys.cancel, channel) == 0)
      client->callbacks.cancel(client->callbacks.ctx, client->slots[i].name, id);
}

static void on_up(void *ctx) {
  struct queue_client *client = ctx;
  conn_reset_backoff(client->subscriber);
  if (client->deaf_to_cancels) client_note(client, "info", "cancel_channel", "back");
  client->deaf_to_cancels = false;
}

static void on_down(void *ctx, const char *why) {
  struct queue_client *client = ctx;
  if (!client->up || client->deaf_to_cancels) return; /* the link's own message says it */
  client->deaf_to_cancels = true;
  client_note(client, "warn", "cancel_channel", "%s; running jobs cannot be cancelled meanwhile", why);
}

int cancel_init(struct queue_client *client) {
  if (!client->callbacks.cancel) return 0;
  for (size_t i = 0; i < client->slot_count; i++)
    client->channels[i] = client->slots[i].keys.cancel;
  const struct conn_options options = {.base = client->base,
                                       .url = client->options.url,
                                       .name = client->worker,
                                       .channels = client->channels,
                                       .channel_count = client->slot_count,
                                       .ctx = client,
                                       .up = on_up,
                                       .down = on_down,
                                       .message = on_message};
  return conn_new(&options, &client->subscriber);
}
