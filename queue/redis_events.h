/*
 * hiredis' asynchronous connections on libevent, with few system calls: hiredis' own adapter asks epoll anew for
 * each answer and for each command. Here the socket is watched for answers as long as it is open, and what a turn of the
 * loop sends goes out at its end, in one write.
 */
#ifndef ISOQ_QUEUE_REDIS_EVENTS_H
#define ISOQ_QUEUE_REDIS_EVENTS_H

struct event_base;
struct redisAsyncContext;

/* hiredis ends it with the connection. 0 or -ENOMEM. */
int redis_events_attach(struct redisAsyncContext *redis, struct event_base *base);

#endif
