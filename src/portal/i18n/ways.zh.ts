import type { WaysDictionary } from './ways.en.ts';

export const waysZh: WaysDictionary = {
  or: '或',
  passkeyUse: '使用通行密钥',
  passkeyUseHint: '由本设备、附近的手机或安全密钥作答。其他网站无法使用它。',
  passkeyWrong: '通行密钥的应答未被接受。请重试，或使用其他方式。',

  provider: '使用单位账号登录',
  providerErrors: {
    failed: '单位账号登录未完成，请重试。',
    refused: '您的单位账号无权进入，请联系管理员。',
    unavailable: '无法连接单位的登录服务，请稍后重试。',
  },
  breakGlass: '应急通道：管理员使用密码登录',

  confirmTitle: '还差一步',
  confirmLead: '单位的登录仅验证了一个因素，而您的角色需要双重验证。',
  confirmSend: '确认',
  confirmWrong: '验证码不正确。验证码每 30 秒更新一次，请检查设备时间是否准确。',
};
